"""MLflow's tables, created once for all tests: MLflow takes five seconds for each new file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from tracking.backends.mlflow import database

CREATE_TABLES = database._create_tables
"""The real thing."""


@contextmanager
def copied_tables(template: Path) -> Iterator[None]:
    """Copy every new file from one that MLflow created; processes may share it."""

    def create(file: Path, artifacts: Path) -> None:
        if file.exists():
            CREATE_TABLES(file, artifacts)
            return
        with filelock.FileLock(f"{template}.lock"):
            if not template.exists():
                new = template.with_name(f"{template.name}.new")
                CREATE_TABLES(new, artifacts)
                new.replace(template)
        shutil.copy(template, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_create_tables", create)
        yield
