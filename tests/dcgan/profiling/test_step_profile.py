"""`dcgan profile`: the parts of a step add up to it, and a trace is written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._C._autograd import DeviceType
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.schema import Config
from dcgan.profiling import step_profile as profile


def test_a_kernel_counts_once_as_its_operator():
    def entry(key: str, device: DeviceType, device_us: float, cpu_us: float) -> SimpleNamespace:
        return SimpleNamespace(
            key=key,
            device_type=device,
            self_device_time_total=device_us,
            self_cpu_time_total=cpu_us,
            count=2,
        )

    averages = [
        entry("aten::convolution", DeviceType.CPU, 4000, 100),
        entry("sm90_xmma_fprop", DeviceType.CUDA, 4000, 0),
        entry("aten::empty", DeviceType.CPU, 0, 1000),
        entry("discriminator", DeviceType.CUDA, 4000, 0),
    ]
    found = profile._operators(averages, steps=2, step_ms=4)
    assert [(each.name, each.ms, each.fraction) for each in found] == [
        ("aten::convolution", 2, 0.5),
        ("aten::empty", 0.5, 0.125),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cuda", {"CPU", "CUDA"}), ("xpu", {"CPU", "XPU"}), ("mps", {"CPU"}), ("cpu", {"CPU"})],
)
def test_kernels_are_recorded_where_pytorch_can(
    small_config, pixels, kind: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
):
    def stop(activities: list[torch.profiler.ProfilerActivity]) -> None:
        assert {each.name for each in activities} == expected
        raise InterruptedError

    activity = torch.profiler.ProfilerActivity
    every = {activity.CPU, activity.CUDA, activity.XPU}
    monkeypatch.setattr(profile, "supported_activities", lambda: every)
    monkeypatch.setattr(profile, "profile", stop)
    with pytest.raises(InterruptedError):
        profile.profile_steps(small_config(), pixels, torch.device(kind), steps=1)


def test_the_profiled_steps_are_not_replayed(small_config, pixels, monkeypatch: pytest.MonkeyPatch):
    def train(config: Config, *_: object, **__: object) -> None:
        assert not config.training.cuda_graph
        raise InterruptedError

    monkeypatch.setattr(profile, "train", train)
    config = small_config()
    assert config.training.cuda_graph
    with pytest.raises(InterruptedError):
        profile.profile_steps(config, pixels, torch.device("cpu"), steps=1)


def test_the_parts_of_a_step_add_up_to_it(small_config, pixels):
    found = profile.profile_steps(small_config(), pixels, torch.device("cpu"), steps=4)
    parts = {part.name: part for part in found.parts}
    assert tuple(parts) == profile.PARTS
    assert sum(part.ms for part in found.parts) == pytest.approx(found.step_ms)
    assert sum(part.fraction for part in found.parts) == pytest.approx(1)
    for name, part in parts.items():
        assert part.ms > 0, name
    assert parts["discriminator"].calls == parts["generator"].calls == parts["tracking"].calls == 1
    assert parts["optimizer"].calls == 4  # of each network one step, and gradients cleared once
    names = [operator.name for operator in found.operators]
    assert any("convolution" in name for name in names)
    assert not {"discriminator", "generator"} & set(names)


def test_the_command_says_what_it_used_and_writes_a_trace(tmp_path: Path):
    trace = tmp_path / "trace.json"
    arguments = ["profile", "digits", "--steps", "2", "--batch-size", "8", "--trace", str(trace)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "digits on cpu, float32: 2 steps of 8 random images" in " ".join(result.output.split())
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"data", "discriminator", "generator", "tracking"} <= names


def test_a_trace_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    trace = tmp_path / "file" / "trace.json"
    arguments = ["profile", "digits", "--steps", "1", "--batch-size", "4", "--trace", str(trace)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert "file is not a folder" in " ".join(result.output.replace("│", "").split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
