"""Memory that large tensors gave back stays with the process, in pages of 2 MiB.

glibc returns every freed block of more than 32 MiB to the kernel, and often smaller ones; the
next step's tensors then fault all of their pages in again, which was a third of a step of
`celeba` on four CPU cores.
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
    """Let this process keep what it frees; return whether its C library was told so.

    Call it before PyTorch is first imported: from then on PyTorch no longer looks for
    `THP_MEM_ALLOC_ENABLE`, by which it asks the kernel for transparent huge pages under
    tensors of 2 MiB and more. A value that the user gave the variable stays. Processes
    that are started afterwards inherit the variable, the rest they do themselves by
    calling this. Memory is then at its peak until the process ends. Without glibc (musl,
    macOS, Windows) nothing happens.
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
