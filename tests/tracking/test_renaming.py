"""`dcgan import --rename`: what gets a new name is kept, and nothing takes the place of another."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.support.sample_journals import STEPS, write_journal
from tracking.backends import local

NAME = "sample-good22"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("source")
    write_journal(store, NAME, seed=0, fields={"x/a": 1, "x/b": 2})
    return store


def import_renamed(source: Path, store: Path, *renames: str) -> Result:
    options = [part for each in renames for part in ("--rename", each)]
    arguments = ["import", str(source), "--from", "local", "--store", str(store), *options]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("rename", "fields"),
    [
        ("x/a=x", {"x": 1, "x/b": 2}),
        ("x/a=config/optimizer", {"config/optimizer": 1, "config/optimizer/lr": 2e-4}),
        ("config/optimizer/lr=config", {"config": 2e-4, "config/loss/name": "bce"}),
        ("x/a=config/optimizer/lr/first", {"config/optimizer/lr/first": 1}),
        ("x=y", {"y/a": 1, "y/b": 2}),
    ],
)
def test_a_name_may_be_the_beginning_of_another(
    source: Path, tmp_path: Path, rename: str, fields: dict[str, object]
) -> None:
    result = import_renamed(source, tmp_path, rename)
    assert result.exit_code == 0, result.output
    there = local.read_fields(tmp_path / NAME)
    assert fields.items() <= there.items()
    assert len(there) == len(local.read_fields(source / NAME)) + 1  # where it was imported from
    listed = CliRunner().invoke(app, ["runs", "--store", str(tmp_path)], env={"COLUMNS": "200"})
    assert NAME in listed.output
    assert listed.exit_code == 0


def test_a_metric_may_have_the_name_of_a_group(source: Path, tmp_path: Path) -> None:
    result = import_renamed(source, tmp_path, "training/batch/Gloss=training/batch")
    assert result.exit_code == 0, result.output
    steps = local.read_steps(tmp_path / NAME)
    assert steps["training/batch"].notna().sum() == STEPS
    assert steps["training/batch/Dloss"].notna().sum() == STEPS


@pytest.mark.parametrize(
    ("renames", "said"),
    [
        (["x/a=x/b"], "x/a and x/b would both become x/b"),
        (["x/a=q", "x/b=q"], "x/a and x/b would both become q"),
        (["training/batch/Gloss=training/batch/Dloss"], "would both become training/batch/Dloss"),
        (["images/real=images/fixed_noise"], "would both become images/fixed_noise"),
        (["x/a=q", "x/a=r"], "x/a is renamed twice: q and r"),
        (["x/a=sys/id"], "the journal of a run sets that field itself"),
        (["x/a=sys/status"], "the journal of a run sets that field itself"),
        (["images/real=../../outside"], "names between slashes"),
        (["x/a=/q/"], "names between slashes"),
        (["x/a"], "OLD=NEW"),
    ],
)
def test_names_by_which_something_would_be_lost_are_refused_before_anything_is_written(
    source: Path, tmp_path: Path, renames: list[str], said: str
) -> None:
    result = import_renamed(source, tmp_path / "store", *renames)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "store").exists()
