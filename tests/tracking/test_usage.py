"""How busy the machine is, sampled."""

from __future__ import annotations

import math

from tracking.events import USAGE
from tracking.system_usage import UsageSampler


def test_a_sample_has_the_processor_and_the_memory() -> None:
    sample = UsageSampler().sample(7)
    assert sample is not None
    assert list(sample.steps) == [7]
    values = {path.removeprefix(f"{USAGE}/"): series[0] for path, series in sample.values.items()}
    assert {"cpu_percent", "process_cpu_percent", "memory_percent", "process_memory_gib"} <= set(
        values
    )
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    assert 0.01 < values["process_memory_gib"] < 100
    assert 0 < values["memory_percent"] <= 100


def test_samples_are_as_rare_as_was_asked() -> None:
    rare, often = UsageSampler(every=3600), UsageSampler(every=0)
    assert rare.sample(1) is not None
    assert rare.sample(2) is None
    assert often.sample(1) is not None
    assert often.sample(2) is not None
