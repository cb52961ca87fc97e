"""A training whose MLflow database another process migrates goes on, and is sent later."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.backends.mlflow import database as module
from tracking.events import Event, Fields, Metrics
from tracking.fanout import FanOut
from tracking.tracker import Run
from tracking.transfer import send_run
from tracking.verify import find_differences

RUN = Run("digits-abc234", "a run", 1_700_000_000_123)
EVENTS: list[Event] = [
    Fields({"config/seed": 1, "sys/status": "running"}),
    Metrics([1, 2], [3, 4], {"training/batch/Gloss": [0.5, 0.25]}),
]
GOES_ON = "Training continues, and the local journal has everything."


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with an older run; who finds it locked does not wait for long."""
    from mlflow.store.db import utils

    text = utils.sql.text
    monkeypatch.setattr(utils.sql, "text", lambda words: text(words.replace("20000", "200")))
    backend.open_tracker(Run("digits-before", "before", 1), tmp_path).close("finished")
    monkeypatch.setattr(module, "_LOCKED_SECONDS", 0.05)
    return tmp_path / backend.DATABASE_FILE


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """As while a migration changes a table."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def fan_out(store: Path, warnings: list[str]) -> FanOut:
    return FanOut(
        local.open_tracker(RUN, store),
        {"mlflow": partial(backend.open_tracker, RUN, store)},
        partial(local.read_events, store / RUN.id),
        warnings.append,
    )


def assert_sent_later(store: Path) -> None:
    journal = list(local.read_events(store / RUN.id))
    assert [event for event in journal if isinstance(event, Metrics)] == EVENTS[1:]
    send_run(store / RUN.id, "mlflow")
    assert find_differences(store / RUN.id, "mlflow") == []


def test_a_training_that_begins_while_a_table_is_migrated(file: Path) -> None:
    warnings: list[str] = []
    with locked(file):
        tracker = fan_out(file.parent, warnings)
        for event in EVENTS:
            tracker.write(event)
        tracker.close("finished")
    [told] = warnings
    assert f"{file.name} is locked by another process, such as one that migrates it" in told
    assert told.endswith(GOES_ON)
    assert tracker.lost is None
    assert_sent_later(file.parent)


def test_a_table_that_is_missing_for_a_moment_is_not_taken_for_a_file_that_is_half_made(
    file: Path,
) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("ALTER TABLE runs RENAME TO _alembic_tmp_runs")
    before, warnings = file.read_bytes(), list[str]()
    tracker = fan_out(file.parent, warnings)
    for event in EVENTS:
        tracker.write(event)
    tracker.close("finished")
    [told] = warnings
    assert "is being migrated by another process (it has a table _alembic_tmp_runs)" in told
    assert told.endswith(GOES_ON)
    assert file.read_bytes() == before
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("ALTER TABLE _alembic_tmp_runs RENAME TO runs")
    assert_sent_later(file.parent)


def test_a_migration_that_begins_during_the_training(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    warnings: list[str] = []
    tracker = fan_out(file.parent, warnings)
    tracker.write(EVENTS[0])
    with contextlib.closing(sqlite3.connect(file)) as database:
        wait_until(lambda: database.execute("SELECT count(*) FROM params").fetchone() == (1,))
    with locked(file):
        tracker.write(EVENTS[1])
        tracker.close("finished")
    [told] = warnings
    assert told == (
        "Tracking to mlflow stopped: its database answers: (sqlite3.OperationalError) database is "
        f"locked. {GOES_ON}"
    )
    assert capfd.readouterr().err == ""
    assert_sent_later(file.parent)
