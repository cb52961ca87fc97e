"""Files of every store that are damaged at random, through every reader of that store.

DCGAN_FUZZ and DCGAN_FUZZ_FIRST say how many, as for test_fuzz.py.
"""

from __future__ import annotations

import os
import random
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.mutations import mutated
from tests.support.neptune_exporter import rows_of_offline_run, write_export
from tests.support.sample_journals import write_journal
from tests.support.store_mutations import (
    mutated_database,
    mutated_event_file,
    mutated_parquet,
    mutated_wandb_log,
    without_fields,
)
from tracking.backends import REMOTES, load_reader
from tracking.errors import StoreWarning, UserError
from tracking.transfer import send_run

IS_LONG = "DCGAN_FUZZ" in os.environ  # which the fixtures of all tests remove
COUNT = int(os.environ.get("DCGAN_FUZZ", "2"))
FIRST = int(os.environ.get("DCGAN_FUZZ_FIRST", "0"))
SLOW_SECONDS = 60.0
"""Of processor time, since the long fuzz runs beside other work."""

MAX_SHOWN = 10
GOOD, BAD = "sample-good22", "sample-bad222"
Mutation = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A file that is damaged.

    Attributes:
        reader: The name of what reads it, as `load_reader` takes it.
        file: A pattern of the file; the first match with the id of the bad run is damaged.
        mutations: What damages it, one of them at a time.
        is_shared: Whether both runs are in the file, so that damage may cost either.
        is_slow: Whether it is damaged only if DCGAN_FUZZ is set.
    """

    reader: str
    file: str
    mutations: tuple[Mutation, ...]
    is_shared: bool = False
    is_slow: bool = False


DATABASE = (mutated_database, mutated_database, mutated)
TARGETS = (
    Target("tensorboard", "tensorboard/*/events*", (mutated, mutated_event_file)),
    Target("foreign.tensorboard", "tensorboard/*/events*", (mutated, mutated_event_file)),
    Target("neptune", "neptune/offline/*/data-*.log", (mutated,)),
    Target("neptune_export", "data/*/*_part_0.parquet", (mutated, mutated_parquet)),
    Target("wandb", "wandb/*/run-*.wandb", (mutated, mutated_wandb_log), is_slow=True),
    Target("mlflow", "mlflow.db", DATABASE, is_shared=True, is_slow=True),
    Target("foreign.mlflow", "mlflow.db", DATABASE, is_shared=True, is_slow=True),
)
IMPORTED = {"neptune": "neptune-offline", "neptune_export": "neptune-export"}
READERS = ("load_steps", "load_last_values", "load_tails", "load_events")
SYNC_EVERY = 10


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("journals")
    for seed, name in enumerate((GOOD, BAD)):
        write_journal(store, name, seed=seed)
    return store


def tracked(journals: Path, reader: str, store: Path) -> None:
    """A store with both runs as one tracker has them."""
    shutil.copytree(journals, store)
    remote = "neptune" if reader == "neptune_export" else reader.removeprefix("foreign.")
    for name in (GOOD, BAD):
        send_run(store / name, remote)
        if reader == "neptune_export":
            write_export(store, name, list(rows_of_offline_run(store, store, name)))
            shutil.rmtree(store / "neptune")
        if reader == "foreign.tensorboard":
            [file] = store.glob(f"tensorboard/{name}/events*")
            file.write_bytes(without_fields(file.read_bytes()))


@pytest.mark.timeout(0 if IS_LONG else 600)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.reader)
def test_damage_to_a_store_costs_at_most_the_run_that_it_hits(
    journals: Path, tmp_path: Path, target: Target
) -> None:
    if target.is_slow and not IS_LONG:
        pytest.skip("only if DCGAN_FUZZ is set")
    tracked(journals, target.reader, tmp_path / "whole")
    failures: list[Exception] = []
    for number in range(FIRST, FIRST + COUNT):
        store = tmp_path / str(number)  # MLflow remembers files by their path
        shutil.copytree(tmp_path / "whole", store)
        files = sorted(store.glob(target.file))
        file = next(file for file in files if BAD in str(file) or BAD.encode() in file.read_bytes())
        rng = random.Random(number)
        file.write_bytes(rng.choice(target.mutations)(file.read_bytes(), rng))
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StoreWarning)
            try:
                check(store, target, number)
                assert time.process_time() - began < SLOW_SECONDS
            except Exception as error:
                error.add_note(f"{target.reader}, number {number}")
                failures.append(error)
        shutil.rmtree(store)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {COUNT}", failures[:MAX_SHOWN])


def check(store: Path, target: Target, number: int) -> None:
    """Every reader of the store, then one of the commands that use them."""
    place = store / "tensorboard" if target.reader == "foreign.tensorboard" else store
    reader = load_reader(target.reader)
    runs: list[str] = []
    with suppress(UserError):  # what is damaged may be refused
        runs = list(reader.load_runs(place).index)
        assert target.is_shared or any("good" in run for run in runs), runs
    for run in runs:
        if "good" in run and not target.is_shared:
            continue
        for name in READERS:
            if read := getattr(reader, name, None):
                with suppress(UserError):
                    more = (["training/batch/Gloss"], 0.1) if name == "load_tails" else ()
                    result = read(place, run, *more)
                    if name == "load_events":
                        list(result)
    kind = IMPORTED.get(target.reader, target.reader.removeprefix("foreign."))
    imported = store / "imported"
    command = ["import", str(place), "--from", kind, "--store", str(imported)]
    if target.reader in REMOTES and number % SYNC_EVERY == 0:
        command = ["sync", BAD, "--to", target.reader, "--verify", "--store", str(store)]
    run_command(command)
    if imported.exists():
        run_command(["runs", "--store", str(imported)])


def run_command(command: list[str]) -> None:
    result = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
