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
from collections.abc import Iterator
from contextlib import contextmanager
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

IS_LONG = "DCGAN_FUZZ" in os.environ  # which the fixtures of all tests remove
COUNT = int(os.environ.get("DCGAN_FUZZ", "11"))
FIRST = int(os.environ.get("DCGAN_FUZZ_FIRST", "0"))
SLOW_SECONDS = 60.0
"""Of processor time, since the long fuzz runs beside other work."""

MAX_SHOWN = 10
GOOD = "sample-good22"
GROUP = 11
"""Damaged runs that share a store, so that the commands that read all of it run once for them."""

OF_A_STORE = (
    ("runs", "--sort", "Gloss", "--columns", "seed,Gloss"),
    ("show", "last"),
    ("du",),
    ("compare", "--by", "optimizer.lr"),
)
RUN = "<run>"
OF_A_RUN = (
    ("show", RUN),
    ("diff", GOOD, RUN),
    ("watch", RUN),
    ("tag", RUN, "x"),
    ("rename", RUN, "x"),
    ("sync", RUN, "--to", "tensorboard"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a good run and some that are to be damaged."""
    store = tmp_path_factory.mktemp("whole")
    for seed, name in enumerate((GOOD, *map(bad, range(min(COUNT, GROUP))))):
        folder = write_journal(store, name, seed=seed, optimizer__lr=1e-3 * (1 + bool(seed)))
        (folder / "artifacts").mkdir(exist_ok=True)
        shutil.copy("dcgan/recipes/digits.toml", folder / RECIPE_FILE)
    return store


def bad(place: int) -> str:
    return f"sample-bad{place:03d}"


def read_run(store: Path, run: str) -> None:
    """Every reader of a journal, each of which may refuse what is damaged."""
    folder = store / run
    readers = (
        partial(local.read_fields, folder),
        partial(local.read_run, folder),
        partial(local.read_steps, folder),
        partial(local.last_values, folder),
        partial(local.load_last_values, store, run),
        partial(local.load_tails, store, run, ("training/batch/Gloss", "step"), 0.1),
        lambda: list(local.read_events(folder)),
        lambda: load_config(str(folder / RECIPE_FILE), []),
    )
    for reader in readers:
        try:
            reader()
        except UserError:
            continue


def command(store: Path, *arguments: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--store", str(store)], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    if arguments[0] == "runs":
        assert GOOD in result.output


@contextmanager
def noting(failures: list[Exception], note: str) -> Iterator[None]:
    """Collect what fails, and what takes too long."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        try:
            yield
            assert time.process_time() - began < SLOW_SECONDS
        except Exception as error:
            error.add_note(note)
            failures.append(error)


def raise_all(failures: list[Exception]) -> None:
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {COUNT}", failures[:MAX_SHOWN])


@pytest.mark.timeout(0 if IS_LONG else 600)
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
def test_a_damaged_file_of_a_run_costs_at_most_that_run(
    whole: Path, tmp_path: Path, name: str
) -> None:
    failures: list[Exception] = []
    for first in range(FIRST, FIRST + COUNT, GROUP):
        numbers = range(first, min(first + GROUP, FIRST + COUNT))
        store = tmp_path / "runs"
        shutil.copytree(whole, store)
        for place, number in enumerate(numbers):
            file = store / bad(place) / name
            file.write_bytes(mutated(file.read_bytes(), random.Random(number)))
        with noting(failures, f"{name}, one of the numbers {numbers}"):
            assert GOOD in local.load_runs(store).index
        for arguments in (("runs",), OF_A_STORE[first // GROUP % len(OF_A_STORE)]):
            with noting(failures, f"{name}, one of the numbers {numbers}: {arguments}"):
                command(store, *arguments)
        for place, number in enumerate(numbers):
            content = (store / bad(place) / name).read_bytes()
            arguments = OF_A_RUN[number % len(OF_A_RUN)]
            with noting(failures, f"{name}, number {number}, {arguments}: {content[:2000]!r}"):
                read_run(store, bad(place))
                command(store, *(bad(place) if each == RUN else each for each in arguments))
        shutil.rmtree(tmp_path / "runs")
    raise_all(failures)


@pytest.mark.timeout(0 if IS_LONG else 600)
@pytest.mark.parametrize("source", ["dcgan/recipes/celeba.toml", "dcgan/sweeps/weight-init.toml"])
def test_a_damaged_recipe_or_sweep_is_refused_or_valid(tmp_path: Path, source: str) -> None:
    file = tmp_path / "mine.toml"
    shutil.copy(source, file)

    whole = file.read_bytes()
    failures: list[Exception] = []
    for number in range(FIRST, FIRST + COUNT):
        content = mutated(whole, random.Random(number))
        file.write_bytes(content)
        with noting(failures, f"{source}, number {number}: {content[:2000]!r}"):
            try:
                if "sweeps" in source:
                    read_definition(str(file))
                else:
                    load_config(str(file), [])
            except UserError as error:
                assert str(error), number
    raise_all(failures)
