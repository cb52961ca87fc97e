"""What several tests of data sets need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.image_folder import save


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(12):
        save(folder / f"{number:02d}.png", number)
    return folder
