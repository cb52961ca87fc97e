"""The MLflow backend against a real `mlflow server` on a real PostgreSQL cluster."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from tests.support.mlflow_process import mlflow_server
from tests.support.waiting import wait_until
from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.events import Fields, Metrics
from tracking.fanout import FanOut, RemoteLimits
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    FIELDS,
    RUN,
    STEPS,
    assert_same_as_journal,
    whole_run,
    write,
)
from tracking.tracker import Run
from tracking.transfer import send_run
from tracking.verify import find_differences

ACCOUNT = "postgres"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The folder with the socket of a cluster of its own, which ends with the tests."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    account = _account()
    # Neither may another account enter pytest's own folders, nor are their names short
    # enough for a socket.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if account:
        shutil.chown(folder, account, pwd.getpwnam(account).pw_gid)
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(
            command,
            user=account,
            group=pwd.getpwnam(account).pw_gid if account else None,
            extra_groups=[] if account else None,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    try:
        run(initdb, "--pgdata", str(data), "--username", ACCOUNT, "--auth", "trust",
            "--encoding", "UTF8", "--no-locale", "--no-sync")  # fmt: skip
        # No port, so that nothing else on the machine can be in the way; no fsync, for speed.
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run(pg_ctl, "start", "--wait", "--pgdata", str(data), "--options", options,
            "--log", str(folder / "log"))  # fmt: skip
        try:
            yield folder
        finally:
            run(pg_ctl, "stop", "--wait", "--pgdata", str(data), "--mode", "immediate")
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    """A program of PostgreSQL: Debian keeps them out of PATH, a folder for each version."""
    places = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    program = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *places]))
    return program or pytest.skip(f"PostgreSQL's {name} is not installed (apt: postgresql)")


def _account() -> str | None:
    """Under which account PostgreSQL runs if not under this one: it refuses root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_name
    except KeyError:
        pytest.skip(f"PostgreSQL refuses to run as root, and there is no account {ACCOUNT!r}")


@pytest.fixture(scope="module")
def address(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server on that cluster."""
    database = f"postgresql+psycopg2://{ACCOUNT}@/postgres?host={cluster}"
    with mlflow_server(tmp_path_factory.mktemp("server"), database) as address:
        yield address


def test_a_run_on_postgresql_reads_back_as_from_the_journal_and_is_sent_once(
    cluster: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    events = whole_run(tmp_path)
    for tracker in (backend.open_tracker(RUN, tmp_path), local.open_tracker(RUN, tmp_path)):
        write(tracker, events)
    assert_same_as_journal(backend, tmp_path)
    rows = _rows(cluster)

    again = backend.open_tracker(RUN, tmp_path)
    missing = list(Ledger(again.held()).missing(local.read_events(tmp_path / RUN.id)))
    assert [type(event) for event in missing] == [Fields]
    write(again, [*missing, FIELDS])
    assert_same_as_journal(backend, tmp_path)
    assert _rows(cluster) == rows


def test_a_training_while_a_table_is_migrated_goes_on_and_is_sent_later(
    cluster: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    run, warnings = Run("digits-later1", "later", 1_700_000_000_123), list[str]()
    with contextlib.closing(
        psycopg2.connect(host=str(cluster), user=ACCOUNT, dbname="postgres")
    ) as connection:
        # As Alembic does: other statements wait for the end of the transaction.
        connection.cursor().execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        tracker = FanOut(
            local.open_tracker(run, tmp_path),
            {"mlflow": partial(backend.open_tracker, run, tmp_path)},
            partial(local.read_events, tmp_path / run.id),
            warnings.append,
            RemoteLimits(patience=0.5, opening_patience=0.5),
        )
        tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
        tracker.write(Metrics([1, 2], [3, 4], {"training/batch/Gloss": [0.5, 0.25]}))
        tracker.close("finished")
        connection.rollback()
    [told] = warnings
    assert "it has not answered for" in told
    assert tracker.lost is None
    # What it had asked for is carried out now, and must not create the run beside the sync.
    wait_until(lambda: all(each.name != "tracker-mlflow" for each in threading.enumerate()))
    send_run(tmp_path / run.id, "mlflow")
    assert find_differences(tmp_path / run.id, "mlflow") == []


def _rows(cluster: Path) -> dict[str, int]:
    """How many rows PostgreSQL itself holds of what a replay must not double."""
    with psycopg2.connect(host=str(cluster), user=ACCOUNT, dbname="postgres") as connection:
        cursor = connection.cursor()
        counts = {}
        for table in ("runs", "params", "tags", "metrics", "inputs"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            counts[table] = cursor.fetchone()[0]
    connection.close()
    assert counts["runs"] == 1
    assert counts["metrics"] == 2 * STEPS + 2
    return counts
