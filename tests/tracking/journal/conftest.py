"""A journal that is open for writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracking.backends.local import Journal, open_tracker
from tracking.testing.sample_run import RUN


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_tracker(RUN, tmp_path)
