"""Every backend in turn, and stores of their own for it and for the journal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracking.backends import REMOTES, Backend, load_backend


@pytest.fixture(params=["local", *REMOTES])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for variable in os.environ:
        if variable.startswith(("MLFLOW_", "NEPTUNE_")):
            monkeypatch.delenv(variable)
    return str(request.param)


@pytest.fixture
def backend(name: str) -> Backend:
    return load_backend(name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "störe of 100% runs"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A store of its own, for the run as the journal has it."""
    return tmp_path / "journal"
