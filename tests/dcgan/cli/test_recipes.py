"""`dcgan recipes`: a list, a text, a copy."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.config.loading import load_config, parse_override, recipe_names, recipe_text
from dcgan.profiling import step_timing as trial

PUBLISHED = ("celeba", "mnist-softmax", "anime", "anime-tf", "mnist-ablation", "astro")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recipes", *arguments], env={"COLUMNS": "160"})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_list_names_every_recipe_with_its_source_its_data_and_its_length():
    listed = invoke()
    assert listed.exit_code == 0, listed.output
    assert invoke("list").output == listed.output
    assert "dcgan recipes --time" in listed.output, "nothing is timed unless that is asked for"
    names = {line.split(" ")[0] for line in listed.output.splitlines()}
    assert set(PUBLISHED) < set(recipe_names()) <= names
    text = " ".join(listed.output.split())
    for part in (
        "celeba DCGAN on CelebA celeba 202,599 images",
        "sky (synthetic) 200 images",
        "28x28 grey 10,000 steps",
        "mnist-ablation DCGAN on MNIST, weight initialisation on or off mnist 70,000",
    ):
        assert part in text


def test_a_trial_is_measured_once_and_remembered(cache: Path, monkeypatch: pytest.MonkeyPatch):
    config = load_config("digits", [parse_override("network.generator_features=4")])
    assert trial.cached_run_seconds(config, "cpu") is None
    seconds = trial.measure_run_seconds(config, "cpu")
    assert 0 < seconds < 3600
    assert trial.cached_run_seconds(config, "cpu") == seconds
    (record,) = (cache / "trials").iterdir()
    assert json.loads(record.read_text())["recipe"] == "digits"
    other = load_config("digits", [parse_override("network.generator_features=5")])
    assert trial.cached_run_seconds(other, "cpu") is None
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert trial.cached_run_seconds(config, "cpu") is None


def test_a_trial_is_twenty_steps_of_the_whole_run(monkeypatch: pytest.MonkeyPatch):
    clock = iter(float(second) for second in range(1000))
    monkeypatch.setattr(trial.time, "perf_counter", lambda: next(clock))
    config = load_config("digits", [parse_override("network.generator_features=4")])
    assert trial.measure_run_seconds(config, "cpu") == 50 * 57  # one second a step
    assert next(clock) == trial.TRIAL_STEPS + 2  # it is read before the first step too


def test_a_trial_works_without_a_place_to_remember_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "file" / "cache"))
    config = load_config("digits", [parse_override("network.generator_features=4")])
    assert trial.measure_run_seconds(config, "cpu") > 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_show_prints_the_recipe_with_its_comments(name: str):
    shown = invoke("show", name)
    assert shown.exit_code == 0
    assert shown.output == recipe_text(name)
    assert "#" in shown.output


def test_copy_gives_a_recipe_of_ones_own(tmp_path: Path):
    mine = tmp_path / "mine.toml"
    copied = invoke("copy", "astro", str(mine))
    assert copied.exit_code == 0, copied.output
    assert f"dcgan train {mine}" in copied.output.replace("\n", "")
    config = load_config(str(mine), [])
    assert config.name == "mine"
    assert config == load_config("astro", []).model_copy(update={"name": "mine"})


@pytest.mark.parametrize("stem", ['my "best" [bold] one', "back\\slash", "ü" * 101])
def test_a_copy_may_have_any_name(tmp_path: Path, stem: str):
    mine = tmp_path / f"{stem}.toml"
    copied = invoke("copy", "astro", str(mine))
    assert copied.exit_code == 0, copied.output
    assert shlex.split(copied.output.partition(": ")[2]) == ["dcgan", "train", str(mine)]
    assert load_config(str(mine), []).name == stem[:100]


def test_copy_never_overwrites_and_names_what_is_wrong(tmp_path: Path):
    mine = tmp_path / "mine.toml"
    mine.write_text("precious")
    for arguments, message in {
        ("astro", str(mine)): "exists already",
        ("astro", str(tmp_path / "mine.txt")): "ends with .toml",
        ("astro", "/proc/none/mine.toml"): "no folder can be made in /proc",
        ("astr", str(tmp_path / "other.toml")): "Did you mean astro?",
    }.items():
        refused = invoke("copy", *arguments)
        assert refused.exit_code == 2
        assert message in " ".join(refused.output.split())
    assert mine.read_text() == "precious"
    assert list(tmp_path.glob("*.toml")) == [mine]
    assert invoke("copy", "astro", str(tmp_path / "new" / "mine.toml")).exit_code == 0
