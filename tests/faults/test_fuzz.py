"""Files that are damaged at random, through every reader: no traceback, no hang, no loss of others.

DCGAN_FUZZ=10000 pytest tests/faults/test_fuzz.py makes as many damaged files of each kind as said.
Each is made from its own number, which a failure names: DCGAN_FUZZ_FIRST begins with that one.
"""

from __future__ import annotations

import os
import random
import shutil
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import load_config
from dcgan.run_folder import RECIPE_FILE
from dcgan.sweeping.definition import read_definition
from tests.support.mutations import mutated
from tests.support.sample_journals import write_journal
from tracking.backends import local
from tracking.errors import StoreWarning, UserError

COUNT = int(os.environ.get("DCGAN_FUZZ", "11"))
FIRST = int(os.environ.get("DCGAN_FUZZ_FIRST", "0"))
SLOW_SECONDS = 60.0
MOST_SHOWN = 10
GOOD, BAD = "sample-good22", "sample-bad222"
COMMANDS = (
    ("runs",),
    ("runs", "--sort", "Gloss", "--columns", "seed,Gloss"),
    ("show", BAD),
    ("show", "last"),
    ("du",),
    ("diff", GOOD, BAD),
    ("compare", "--by", "optimizer.lr"),
    ("watch", BAD),
    ("tag", BAD, "x"),
    ("rename", BAD, "x"),
    ("sync", BAD, "--to", "tensorboard"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for seed, name in enumerate((GOOD, BAD)):
        folder = write_journal(tmp_path / "runs", name, seed=seed, optimizer__lr=1e-3 * (1 + seed))
        (folder / "artifacts").mkdir(exist_ok=True)
        shutil.copy("dcgan/recipes/digits.toml", folder / RECIPE_FILE)
    return tmp_path / "runs"


def read_all(store: Path) -> None:
    """Every reader of a journal, each of which may refuse what is damaged."""
    folder = store / BAD
    readers = (
        partial(local.read_fields, folder),
        partial(local.read_run, folder),
        partial(local.read_steps, folder),
        partial(local.last_values, folder),
        partial(local.load_last_values, store, BAD),
        partial(local.load_tails, store, BAD, ("training/batch/Gloss", "step"), 0.1),
        lambda: list(local.read_events(folder)),
        lambda: load_config(str(folder / RECIPE_FILE), []),
    )
    for reader in readers:
        try:
            reader()
        except UserError:
            continue
    assert GOOD in local.load_runs(store).index


def check(store: Path, number: int) -> None:
    """All readers, and one of the commands in turn."""
    read_all(store)
    command = COMMANDS[number % len(COMMANDS)]
    result = CliRunner().invoke(app, [*command, "--store", str(store)], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    if command[0] == "runs":
        assert GOOD in result.output


def damage(file: Path, check: Callable[[int], None]) -> None:
    """Put damaged files in the place of `file`, one after another, and check each."""
    whole = file.read_bytes()
    failures: list[Exception] = []
    for number in range(FIRST, FIRST + COUNT):
        content = mutated(whole, random.Random(number))
        file.write_bytes(content)
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)
            try:
                check(number)
                assert time.monotonic() - began < SLOW_SECONDS
            except Exception as error:
                error.add_note(f"{file.name}, number {number}: {content[:2000]!r}")
                failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {COUNT}", failures[:MOST_SHOWN])


@pytest.mark.timeout(0 if COUNT > 1_000 else 600)
@pytest.mark.parametrize(
    "name",
    [
        local.METRICS_FILE,
        local.RUN_FILE,
        local.CONFIG_FILE,
        local.LAST_FILE,
        RECIPE_FILE,
        "images/fixed_noise/00000040.png",
    ],
)
def test_a_damaged_file_of_a_run_costs_at_most_that_run(store: Path, name: str) -> None:
    file = store / BAD / name
    assert file.exists(), sorted(str(each.relative_to(store)) for each in store.rglob("*"))
    kept = store.parent / "kept"
    shutil.copytree(store / BAD, kept)

    def check_and_restore(number: int) -> None:
        try:
            check(store, number)
        finally:
            shutil.rmtree(store / BAD)  # which a command may have changed
            shutil.copytree(kept, store / BAD)
            shutil.rmtree(store / "tensorboard", ignore_errors=True)

    damage(file, check_and_restore)


@pytest.mark.timeout(0 if COUNT > 1_000 else 600)
@pytest.mark.parametrize("source", ["dcgan/recipes/celeba.toml", "dcgan/sweeps/weight-init.toml"])
def test_a_damaged_recipe_or_sweep_is_refused_or_valid(tmp_path: Path, source: str) -> None:
    file = tmp_path / "mine.toml"
    shutil.copy(source, file)

    def read(number: int) -> None:
        try:
            if "sweeps" in source:
                read_definition(str(file))
            else:
                load_config(str(file), [])
        except UserError as error:
            assert str(error), number

    damage(file, read)
