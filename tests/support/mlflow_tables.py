"""MLflow's tables, created once per process: MLflow takes five seconds for each new file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tracking.backends.mlflow import database

CREATE_TABLES = database._create_tables
"""The real thing."""


@contextmanager
def copied_tables(template: Path) -> Iterator[None]:
    """Copy every new file from one that MLflow created."""

    def create(file: Path, artifacts: Path) -> None:
        if file.exists():
            CREATE_TABLES(file, artifacts)
            return
        if not template.exists():
            CREATE_TABLES(template, artifacts)
        shutil.copy(template, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_create_tables", create)
        yield
