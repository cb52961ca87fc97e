"""Describes the machine on which a benchmark runs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

NATIVE_BF16 = ("avx512_bf16", "amx_bf16")


def describe_machine() -> str:
    """Processor, versions and load in one line; does not import PyTorch."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    native = [flag for flag in NATIVE_BF16 if flag in flags]
    return (
        f"{psutil.cpu_count()} cores of {names[0] if names else platform.machine()}, "
        f"{os.environ.get('OMP_NUM_THREADS', 'all')} used, "
        f"bfloat16 by {' and '.join(native) or 'emulation'}, "
        f"{' '.join(platform.libc_ver())}, Python {platform.python_version()}, "
        f"torch {version('torch')}, load {os.getloadavg()[0]:.1f} before"
    )
