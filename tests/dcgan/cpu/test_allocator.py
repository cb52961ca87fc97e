"""What the allocator keeps, counted in page faults by processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

TEN_LARGE_TENSORS = """
import resource, sys
from dcgan.cpu.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
import torch
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(2**24)
before = faults()
for _ in range(10):
    torch.ones(2**24)
print(faults() - before)
"""


def faults(how: str) -> int:
    settings = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", TEN_LARGE_TENSORS, how]
    return int(subprocess.run(command, env=settings, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_a_large_tensor_takes_the_memory_of_the_one_before():
    assert faults("kept") < 100
    assert faults("given back") > 100
