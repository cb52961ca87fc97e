"""Folders that are either complete or absent, whatever a killed process left."""

from __future__ import annotations

import os
from pathlib import Path

from tracking.atomic_files import atomic_folder


def test_what_a_killed_process_of_the_same_number_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / f".fakes.{os.getpid()}.tmp" / "old").mkdir(parents=True)
    with atomic_folder(tmp_path / "fakes") as temporary:
        (temporary / "new").touch()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "fakes", tmp_path / "fakes" / "new"]
