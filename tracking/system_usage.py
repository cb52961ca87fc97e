"""How busy the machine is while a run lasts, sampled at a low rate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psutil

from tracking.clock import now_ms
from tracking.events import USAGE, Metrics

SAMPLE_SECONDS = 10.0
_GIB = 2**30


class UsageSampler:
    """Samples processor, memory and NVIDIA GPUs when it is asked and it is time.

    Returns `system/...`, the names under which MLflow's UI has a page of its own:
    cpu_percent (of all cores), process_cpu_percent (100 a core), memory_percent,
    process_memory_gib, and gpu_<i>_percent, gpu_<i>_memory_gib where there is one.
    """

    def __init__(self, every: float = SAMPLE_SECONDS) -> None:
        self._every = every
        self._next = 0.0
        self._process = psutil.Process()
        self._gpus = _nvidia_devices()
        psutil.cpu_percent()  # each call tells of the time since the one before
        self._process.cpu_percent()

    def sample(self, step: int) -> Metrics | None:
        """Metrics at this step, or None where the last sample is younger than `every` seconds."""
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + self._every
        values = {
            "cpu_percent": psutil.cpu_percent(),
            "process_cpu_percent": self._process.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "process_memory_gib": self._process.memory_info().rss / _GIB,
            **dict(self._gpu_values()),
        }
        at = now_ms()
        return Metrics([step], [at], {f"{USAGE}/{name}": [v] for name, v in values.items()})

    def _gpu_values(self) -> Iterator[tuple[str, float]]:
        if not self._gpus:
            return
        import pynvml

        for number, gpu in enumerate(self._gpus):
            with contextlib.suppress(pynvml.NVMLError):
                yield f"gpu_{number}_percent", float(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
                used = pynvml.nvmlDeviceGetMemoryInfo(gpu).used
                yield f"gpu_{number}_memory_gib", used / _GIB


def _nvidia_devices() -> list[Any]:
    """Handles of the GPUs that NVIDIA's driver knows; none where there is no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except (ImportError, OSError):
        return []
    except pynvml.NVMLError:
        return []
