"""Trains DCGANs. Every run is a stream of events that the backends of `tracking` store.

The functions of docs/python.md, such as `dcgan.train`, are imported when they are first used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan.api.run import Run, open, runs
    from dcgan.api.sweeps import sweep
    from dcgan.api.training import resume, train
    from tracking.errors import UserError

__all__ = ["Run", "UserError", "open", "resume", "runs", "sweep", "train"]

# OpenMP's threads spin at each barrier, by default for so long that another process on one of
# the cores makes a step 70 times slower. With this value it is 6 times; on an idle machine a step
# takes at most 8% longer than with ten times as much. OpenMP reads it once, when PyTorch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


_MODULES = {
    "Run": "dcgan.api.run",
    "UserError": "tracking.errors",
    "open": "dcgan.api.run",
    "resume": "dcgan.api.training",
    "runs": "dcgan.api.run",
    "sweep": "dcgan.api.sweeps",
    "train": "dcgan.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
