"""The MLflow backend against a real `mlflow server` on a real PostgreSQL cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.support.mlflow_process import mlflow_server
from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.events import Fields
from tracking.replay import Ledger
from tracking.testing.sample_run import FIELDS, RUN, assert_same_as_journal, whole_run, write

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


def test_a_run_on_postgresql_reads_back_as_from_the_journal_and_is_sent_once(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"postgresql+psycopg2://{ACCOUNT}@/postgres?host={cluster}"
    with mlflow_server(tmp_path / "server", database) as address:
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
    assert counts["metrics"] == 2 * 2_500 + 2
    return counts
