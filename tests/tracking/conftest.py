"""The run that several tests send from store to store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracking.backends import local
from tracking.testing.sample_run import RUN, whole_run, write


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The journal of the sample run, and nothing else."""
    folder = tmp_path / "store"
    folder.mkdir()
    write(local.open_tracker(RUN, folder), whole_run(tmp_path))
    return folder
