"""MLflow's sqlite file in a store: created whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import filelock

from tracking.backends.mlflow.address import ARTIFACT_FOLDER, database_uri
from tracking.errors import StoreError

_SIDE_FILES = ("", "-journal", "-wal", "-shm")
"""The suffixes of the files that make up one sqlite database."""

_LOCKED_SECONDS = 5.0
"""How many seconds another process may keep the file locked."""

_MIGRATED = "_alembic_tmp_"
"""The prefix of tables that a migration builds to replace others."""


def ensure_database(file: Path) -> None:
    """Create MLflow's tables if the file lacks them.

    MLflow takes seconds for that, and a process that dies meanwhile leaves a file that MLflow can
    never open again. So the tables are created in a temporary file, which is then renamed. A
    broken file is renamed to `<file>.incomplete`; it has no runs.

    Raises:
        StoreError: The file is something else, or another process migrates it.
        MlflowException: MLflow can neither open nor create the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{file}.lock"):
        if file.exists() and has_tables(file, mode="rw"):
            runs = _count_runs(file)
            if runs or (runs == 0 and _is_whole(file)):
                return
            _rename(file, file.with_name(f"{file.name}.incomplete"))
        with _folder_beside(file) as folder:
            new = folder / file.name
            _create_tables(new, file.parent / ARTIFACT_FOLDER)
            _rename(new, file)


def has_tables(file: Path, mode: Literal["ro", "rw"] = "ro") -> bool:
    """Whether MLflow has created tables in a file; its client would create them.

    Args:
        file: An existing file.
        mode: sqlite's mode; `rw` also rolls back the transaction of a process that died.

    Raises:
        StoreError: The file is something else, or another process has locked it.
    """
    with _opened(file, mode) as database:
        tables = _tables(database)
    if tables and not tables & {"alembic_version", "experiments"}:
        raise StoreError(f"{file} is not MLflow's: it has no table of experiments.")
    return bool(tables)


@contextlib.contextmanager
def _opened(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """A connection in a read transaction; raises StoreError if the file cannot be read."""
    try:
        address = f"{file.as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            address, timeout=_LOCKED_SECONDS, uri=True, isolation_level=None
        )
        with contextlib.closing(connection) as database:
            database.execute("BEGIN")
            yield database
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(
                f"{file} is locked by another process, such as one that migrates it. Wait until "
                "it has ended"
            ) from error
        raise StoreError(f"{file} cannot be read as MLflow's sqlite file: {error}.") from error


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def _count_runs(file: Path) -> int | None:
    """The number of runs; None if there is no table of runs.

    Raises StoreError while another process migrates the table.
    """
    with _opened(file, "ro") as database:
        tables = _tables(database)
        if unfinished := sorted(name for name in tables if name.startswith(_MIGRATED)):
            raise StoreError(
                f"{file} is being migrated by another process (it has a table {unfinished[0]}). "
                "Wait until that has ended; if none is running, restore the file's backup"
            )
        if "runs" not in tables:
            return None
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])


def _is_whole(file: Path) -> bool:
    from mlflow.exceptions import MlflowException

    # MLflow never closes a file that it failed to open, so it gets a copy.
    with _folder_beside(file) as folder:
        try:
            _create_tables(Path(shutil.copy(file, folder / file.name)), folder)
        except MlflowException:
            return False
    return True


def _create_tables(file: Path, artifacts: Path) -> None:
    """Let MLflow create its tables if they are missing, and close the file again.

    Args:
        file: The sqlite file.
        artifacts: The artifact location of MLflow's own experiment, `Default`.

    Raises:
        MlflowException: The file has some of the tables.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    try:
        store = SqlAlchemyStore(database_uri(file), artifacts.as_uri())
    except SQLAlchemyError as error:
        raise MlflowException(str(error)) from error
    store.engine.dispose()


@contextlib.contextmanager
def telling_database_errors() -> Iterator[None]:
    """Raise StoreError with a database's error message, without the SQL statement.

    MLflow's own error quotes the statement, and its logger also prints a traceback.
    """
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        yield
    except MlflowException as error:
        answer, statement, _ = str(error).partition("[SQL:")
        if not statement:
            raise
        reason = " ".join(answer.split()).rstrip(".")
        raise StoreError(f"its database answers: {reason}") from error


@contextlib.contextmanager
def _folder_beside(file: Path) -> Iterator[Path]:
    """A new temporary folder for each use, because MLflow caches connections by path."""
    prefix = f"{file.name}.new-"
    for left_by_a_killed_process in file.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_by_a_killed_process)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=file.parent) as folder:
        yield Path(folder)


def _rename(source: Path, target: Path) -> None:
    for ending in _SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{source}{ending}").replace(f"{target}{ending}")
