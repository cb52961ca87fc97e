"""`dcgan selftest` on the CPU: what passes, what is skipped, and that a wrong step is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import recipe_names
from dcgan.selftest import checks, speed
from dcgan.training import step

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


def test_a_check_that_does_not_exist_is_named():
    result = CliRunner().invoke(app, ["selftest", "--device", "cpu", "--only", "step of faces"])
    assert result.exit_code == 2
    assert "step of digits" in result.output
