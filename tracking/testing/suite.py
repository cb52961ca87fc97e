"""The base of every part of the conformance suite: the backend under test, and its stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracking.backends import Backend, load_backend
from tracking.testing.sample_run import STEPS


class Suite:
    """A part of the conformance suite.

    Attributes:
        backend_name: What `--tracker` calls the backend.
        sdks: What importing the backend must not import, besides torch and numpy.
        steps: How many steps the sample run has, more than 1,300; fewer for a store that is slow.
    """

    backend_name: str
    sdks: tuple[str, ...] = ("pandas",)
    steps: int = STEPS

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend under test."""
        return load_backend(self.backend_name)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        """A store that does not exist yet, with a name that must be quoted."""
        return tmp_path / "störe of 100% runs"

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Path:
        """A separate store, for the run as the journal has it."""
        return tmp_path / "journal"
