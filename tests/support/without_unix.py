"""Imports every module of this project as on a system that has not what Unix alone has."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys

PACKAGES = ("dcgan", "tracking", "analysis")
UNIX_ALONE = (
    (signal, ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM")),
    (os, ("killpg", "getpgid", "setpriority", "sched_getaffinity", "fork", "getuid", "setsid")),
)


def import_all() -> None:
    """Print the name of each module once it is imported, in a process that has imported some."""
    import asyncio  # noqa: F401

    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import sklearn  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # noqa: F401  (these may need what is taken away)

    for name in list(sys.modules):
        if name.partition(".")[0] in PACKAGES:
            del sys.modules[name]
    for module, names in UNIX_ALONE:
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("fcntl", "resource", "pwd", "grp", "termios"):
        sys.modules[name] = None  # type: ignore[assignment]
    for package in PACKAGES:
        folders = importlib.import_module(package).__path__
        for found in pkgutil.walk_packages(folders, f"{package}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
                print(found.name)
