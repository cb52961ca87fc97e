"""How busy the machine is during a run, sampled at a low rate."""

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
    """Samples the processor, the memory and NVIDIA GPUs, at most once every `every` seconds.

    The metrics are below `system/`, for which MLflow's UI has its own page: cpu_percent (of all
    cores), process_cpu_percent (100 per core), memory_percent, process_memory_gib, and for each
    GPU gpu_<i>_percent and gpu_<i>_memory_gib.
    """

    def __init__(self, every: float = SAMPLE_SECONDS) -> None:
        self._every = every
        self._next = 0.0
        self._process = psutil.Process()
        self._gpus = _nvidia_devices()
        psutil.cpu_percent()  # each call measures the time since the previous one
        self._process.cpu_percent()

    def sample(self, step: int) -> Metrics | None:
        """Metrics at this step; None if the last sample is younger than `every` seconds."""
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
        series = {f"{USAGE}/{name}": [value] for name, value in values.items()}
        return Metrics([step], [now_ms()], series)

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
    """Handles of the GPUs that NVIDIA's driver reports; none if there is no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except (ImportError, OSError):
        return []
    except pynvml.NVMLError:
        return []
