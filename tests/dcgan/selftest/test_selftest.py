"""`dcgan selftest` on the CPU: what passes, what is skipped, and that a wrong step is found."""

from __future__ import annotations

import gc
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import recipe_names
from dcgan.data.image_set import ImageSet
from dcgan.evaluation.features.feature_space import FeatureSpace
from dcgan.selftest import checks, distances, speed
from dcgan.training import loop, network_norms, precision, step
from dcgan.training.captured_step import CapturedStep
from tests.dcgan.training.test_captured_step import EagerReplay

CPU = torch.device("cpu")


def test_the_step_of_every_recipe_is_checked():
    names = list(checks.all_checks())
    assert [name for name in names if name.startswith("step of")] == [
        f"step of {recipe}" for recipe in recipe_names()
    ]


def test_its_table_and_its_file(tmp_path: Path):
    file = tmp_path / "report.json"
    selected = ("step of digits", "step of mnist-ablation", "graph", "resume", "precision")
    only = [part for name in selected for part in ("--only", name)]
    result = CliRunner().invoke(app, ["selftest", "--device", "cpu", *only, "--output", str(file)])
    assert result.exit_code == 0, result.output
    report = json.loads(file.read_text())
    found = {check["name"]: check["result"] for check in report["checks"]}
    assert found == {
        "step of digits": "passed",
        "step of mnist-ablation": "passed",
        "graph, all stabilisers": "skipped",
        "graph, wgan_gp": "skipped",
        "resume": "passed",
        "precision auto": "passed",
        "precision tf32": "skipped",
        "precision bf16": "passed",
    }
    assert "8 checks, 0 failed, 3 skipped." in result.output
    assert report["machine"].startswith("cpu: ")


def test_a_step_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch):
    right = step.to_unit_range
    monkeypatch.setattr(step, "to_unit_range", lambda pixels: right(pixels) * (1 + 1e-5))
    outcome = checks.run_check("step of digits", CPU)
    assert outcome.result == "failed"
    assert "allowed 1e-07" in outcome.detail
    result = CliRunner().invoke(app, ["selftest", "--device", "cpu", "--only", "step of digits"])
    assert result.exit_code == 1


def test_an_error_of_a_driver_is_a_failure_of_its_check(monkeypatch: pytest.MonkeyPatch):
    def broken(*arguments: object, **more: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access\nand more")

    monkeypatch.setattr(checks, "train", broken)
    outcome = checks.run_check("resume", CPU)
    assert (outcome.result, outcome.detail) == (
        "failed",
        "RuntimeError: CUDA error: an illegal memory access",
    )


@pytest.mark.parametrize(("official", "result"), [(2.0, "passed"), (0.5, "failed")])
def test_a_slower_engine_fails(official: float, result: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "_time_official", lambda *arguments: official)
    monkeypatch.setattr(speed, "_time_engine", lambda *arguments: 1.0)
    outcome = checks.run_check("speed, auto", CPU)
    assert outcome.result == result
    assert f"{official:.2f} times the official example" in outcome.detail


def test_both_loops_are_timed():
    config = checks._small("digits", CPU)
    found = speed.compare_speed(config, CPU)
    assert min(found.official, found.engine, found.ratio) > 0
    assert not torch.backends.cudnn.benchmark  # the engine's own setting came last


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks, which the checks of real devices do not need."""
    small = checks._small
    features = (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "dataset.image_size=16",
    )
    monkeypatch.setattr(checks, "_small", lambda recipe, *rest: small(recipe, *rest, *features))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("broken", [False, True])
def test_replays_are_compared_with_eager_steps_by_losses_and_norms(
    broken: bool, monkeypatch: pytest.MonkeyPatch
):
    for module in (checks, network_norms):
        monkeypatch.setattr(module, "MEASURED_EVERY", 6)

    def training_step(state, config, device, world, total_steps, emit):
        eager = step.AdversarialStep(state, config, device, world, total_steps)
        if not config.training.cuda_graph:
            return eager
        replayed = CapturedStep(eager, config.training, EagerReplay().capture, lambda text: None)
        if broken:  # as if a short batch's gradients were taken for those of the replay
            stale = {name: [torch.ones(1)] for name in ("G", "D")}
            monkeypatch.setattr(replayed, "gradients", lambda: stale)
        return replayed

    monkeypatch.setattr(loop, "_training_step", training_step)
    if broken:
        with pytest.raises(checks.CheckError, match="7 steps in float64"):
            checks._replays_are_eager(checks.WITH_EVERYTHING, CPU)
    else:
        assert "7 steps in float64" in checks._replays_are_eager(checks.WITH_EVERYTHING, CPU)


@pytest.mark.usefixtures("narrow")
def test_memory_that_stays_is_told_from_memory_that_grows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "EPOCH_STEPS", 3)
    monkeypatch.setattr(network_norms, "MEASURED_EVERY", 7)

    def in_use() -> int:
        tensors = [each for each in gc.get_objects() if type(each) in (torch.Tensor, nn.Parameter)]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage() for each in tensors}
        return sum(each.nbytes() for each in storages.values())

    assert "after 5 epochs and after 10" in checks._allocations_stay(CPU, in_use)

    def train(*arguments: object, stopping: Callable[[], bool], **more: object) -> None:
        assert not any(stopping() for _ in range(30))

    monkeypatch.setattr(checks, "train", train)
    growing = itertools.count(2**20, 2**20)
    with pytest.raises(checks.CheckError, match=r"grew from 1\.00 to 2\.00 MiB"):
        checks._allocations_stay(CPU, lambda: next(growing))


@pytest.mark.parametrize(("error", "result"), [(0.0, "passed"), (1e-4, "passed"), (0.1, "failed")])
def test_distances_on_a_gpu_are_compared_with_those_of_the_cpu(
    error: float, result: str, monkeypatch: pytest.MonkeyPatch
):
    def spaces(images: ImageSet, device: torch.device) -> list[FeatureSpace]:
        scale = 1 + error if device.type == "cuda" else 1.0

        def extract(pixels: torch.Tensor) -> torch.Tensor:
            return scale * pixels[:, 0, ::8, ::8].flatten(1).float()

        return [FeatureSpace("lenet_", extract, CPU, "", "")]

    monkeypatch.setattr(distances, "feature_spaces", spaces)
    monkeypatch.setattr(precision, "_is_ampere", lambda device: True)
    outcome = checks.run_check("evaluation", torch.device("cuda"))
    assert outcome.result == result, outcome.detail
    assert re.search(r"lenet_fid [\d.]+, on the CPU [\d.]+, in TF32 [\d.]+", outcome.detail)
    assert checks.run_check("evaluation", CPU).result == "skipped"


def test_a_check_that_does_not_exist_is_named():
    result = CliRunner().invoke(app, ["selftest", "--device", "cpu", "--only", "step of faces"])
    assert result.exit_code == 2
    assert "step of digits" in result.output
