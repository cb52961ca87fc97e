"""MLflow's sqlite file, when a process died while MLflow created its tables."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.mlflow_tables import CREATE_TABLES
from tracking.backends.mlflow import DATABASE_FILE
from tracking.backends.mlflow import database as module
from tracking.backends.mlflow.database import ensure_database, has_tables
from tracking.errors import StoreError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whole") / DATABASE_FILE
    ensure_database(file)
    return file


def change(file: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def assert_opens(file: Path) -> None:
    from mlflow import MlflowClient

    assert MlflowClient(f"sqlite:///{file}").get_experiment("0").name == "Default"


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM alembic_version"],
        ["UPDATE alembic_version SET version_num = '451aebb31d03'", "DROP TABLE trace_info"],
        ["DROP TABLE runs"],
    ],
)
def test_a_file_that_is_half_made_is_kept_aside_and_made_again(
    whole: Path, statements: list[str], tmp_path: Path
) -> None:
    file = Path(shutil.copy(whole, tmp_path / DATABASE_FILE))
    change(file, "PRAGMA foreign_keys = OFF", *statements)
    ensure_database(file)
    assert has_tables(tmp_path / f"{DATABASE_FILE}.incomplete")
    assert_opens(file)


def test_a_process_that_dies_leaves_no_file_that_is_half_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / DATABASE_FILE

    def die(half_made: Path, artifacts: Path) -> None:
        change(half_made, "CREATE TABLE alembic_version (version_num TEXT)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_create_tables", die)
        with pytest.raises(KeyboardInterrupt):
            ensure_database(file)
    assert not file.exists()
    monkeypatch.setattr(module, "_create_tables", CREATE_TABLES)
    ensure_database(file)
    assert_opens(file)
    [(location,)] = sqlite3.connect(file).execute("SELECT artifact_location FROM experiments")
    assert location == (tmp_path / "mlflow-artifacts/0").as_uri()
    assert [path.name for path in tmp_path.glob("*.new*")] == []


def test_a_transaction_that_was_never_finished_is_undone(whole: Path, tmp_path: Path) -> None:
    file = tmp_path / DATABASE_FILE
    with contextlib.closing(sqlite3.connect(whole, isolation_level=None)) as database:
        database.execute("PRAGMA cache_spill = 1")
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("DELETE FROM experiments")
        database.executemany(
            "INSERT INTO tags VALUES (?, ?, ?)", [(str(n),) * 3 for n in range(2000)]
        )
        for ending in ("", "-journal"):  # as a killed process leaves them
            shutil.copy(f"{whole}{ending}", f"{file}{ending}")
        database.execute("ROLLBACK")
    ensure_database(file)
    assert_opens(file)
    assert not (tmp_path / f"{DATABASE_FILE}.incomplete").exists()


def test_a_file_with_runs_is_never_set_aside(whole: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(whole, tmp_path / DATABASE_FILE))
    change(file, "INSERT INTO runs (run_uuid, experiment_id) VALUES ('a', 0)")
    change(file, "DELETE FROM alembic_version")
    before = file.read_bytes()
    ensure_database(file)
    assert file.read_bytes() == before


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / DATABASE_FILE
    change(file, "CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreError, match="is not MLflow's"):
        ensure_database(file)
