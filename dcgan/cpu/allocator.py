"""Keeps the memory of freed tensors in the process, in pages of 2 MiB.

glibc returns every freed block of more than 32 MiB to the kernel, and often smaller ones; the
tensors of the next step then fault in all of their pages again, which took a third of the time
of a `celeba` step on four CPU cores.
"""

from __future__ import annotations

import ctypes
import os
import platform

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_NEVER = 2**31 - 1
_TOP_PAD = 64 * 2**20


def keep_memory() -> bool:
    """Keep freed memory in this process instead of returning it to the kernel.

    Call it before PyTorch is first imported, which is when PyTorch reads
    `THP_MEM_ALLOC_ENABLE` and decides whether to ask the kernel for transparent huge pages
    for tensors of 2 MiB and more. A value that the user set is kept. Child processes inherit
    the variable, but must call this themselves for the rest. The process then stays at its
    peak memory until it ends.

    Returns:
        Whether the C library accepted the settings; False without glibc (musl, macOS,
        Windows), where nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = ctypes.CDLL(None).mallopt
    settings = (
        (_M_MMAP_THRESHOLD, _NEVER),
        (_M_TRIM_THRESHOLD, _NEVER),
        (_M_TOP_PAD, _TOP_PAD),
    )
    return all(mallopt(parameter, value) for parameter, value in settings)
