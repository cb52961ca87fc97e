"""A journal that is open for writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sample_run import RUN
from tracking.backends.local import Journal, open_tracker


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_tracker(RUN, tmp_path)
