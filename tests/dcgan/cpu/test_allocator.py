"""What the allocator keeps of freed memory, as glibc counts it, in processes of their own."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys

import pytest

FREED_TENSOR = """
import ctypes, sys
from dcgan.cpu.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
import torch
NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo2
tensor = torch.ones(2**24)
del tensor
print(mallinfo2().fordblks)
"""
TENSOR_BYTES = 4 * 2**24


def free_bytes(how: str) -> int:
    """Bytes that the process holds for its next allocations, after it has freed a large tensor.

    Unlike page faults, they do not depend on what the kernel does with the pages.
    """
    settings = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", FREED_TENSOR, how]
    return int(subprocess.run(command, env=settings, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc is before 2.33")
def test_the_memory_of_a_large_tensor_is_kept_for_the_next_one():
    assert free_bytes("kept") >= TENSOR_BYTES
    assert free_bytes("given back") < TENSOR_BYTES // 2


@pytest.mark.parametrize("command", ["fid a b", "evaluate"])
def test_inceptions_memory_is_kept_too(command: str):
    """From before PyTorch is imported. Of 10,000 images the kernel's zeroing took a fifth."""
    name, *arguments = command.split()
    code = (
        f"import sys, dcgan.cli.commands.{name} as module\n"
        "module.keep_memory = lambda: sys.exit(7 if 'torch' not in sys.modules else 8)\n"
        "from dcgan.cli import app\n"
        f"app({[name, *arguments]})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7
