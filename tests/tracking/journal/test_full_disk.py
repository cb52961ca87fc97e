"""The journal on a full disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.journal_events import IDENTITY, assert_holds, block, epoch_means
from tests.support.largest_file import largest_file
from tracking.backends.local import METRICS_FILE, Journal, open_tracker, read_fields
from tracking.events import GENERATOR_ARCH, GIT_DIFF, REAL, Fields, File, Text
from tracking.testing.sample_run import CREATED, picture
from tracking.tracker import Run


def test_metrics_are_on_the_disk_when_write_returns(journal: Journal) -> None:
    for first in (1, 4, 7):
        journal.write(block(first, first + 2))
        assert_holds(journal.folder, [block(1, first + 2)])


def test_metrics_that_a_full_disk_refused_are_written_later_once(tmp_path: Path) -> None:
    """The disk is full after any byte of a block, also within a number."""
    for room in range(0, 401, 8):
        journal = open_tracker(Run(f"room-{room}", "", CREATED), tmp_path)
        metrics = journal.folder / METRICS_FILE
        journal.write(block(1, 5))
        size = metrics.stat().st_size
        with largest_file(size + room):
            with pytest.raises(OSError, match="File too large"):
                journal.write(block(6, 10))
            assert metrics.stat().st_size == size + room  # a part was written
            with pytest.raises(OSError, match="File too large"):
                journal.write(epoch_means(10))
            complete = metrics.read_bytes().count(b"\n")
            assert_holds(journal.folder, [block(1, complete)])
        journal.write(block(11, 15))
        journal.close("finished")
        assert_holds(journal.folder, [block(1, 15), epoch_means(10)])


def test_metrics_that_a_full_disk_refused_are_written_at_the_end(journal: Journal) -> None:
    with largest_file(100), suppress(OSError):
        journal.write(block(1, 10))
    assert_holds(journal.folder, [])
    journal.close("finished")
    assert_holds(journal.folder, [block(1, 10)])


def test_a_run_that_ends_on_a_full_disk_still_says_how(journal: Journal) -> None:
    journal.write(block(1, 20))
    with largest_file((journal.folder / METRICS_FILE).stat().st_size + 10):
        with suppress(OSError):
            journal.write(block(21, 22))
        with pytest.raises(OSError, match="File too large"):
            journal.close("failed")
    assert read_fields(journal.folder)["sys/status"] == "failed"
    assert_holds(journal.folder, [block(1, 20)])


def test_fields_that_a_full_disk_refused_are_written_later(journal: Journal) -> None:
    journal.write(Fields({"config/seed": 1, "sys/group": "a"}))
    before = read_fields(journal.folder)
    with largest_file(10), pytest.raises(OSError, match="File too large"):
        journal.write(Fields({"config/rate": 2e-4, "sys/group": "b"}))
    assert read_fields(journal.folder) == before
    journal.write(Fields({"sys/epoch": 1}))
    assert read_fields(journal.folder) == {
        **IDENTITY,
        "config/seed": 1,
        "config/rate": 2e-4,
        "sys/group": "b",
        "sys/epoch": 1,
    }


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path, journal: Journal) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("name = 'digits'\n")
    journal.write(Fields({"sys/seed": 1}))
    before = sorted(file for file in journal.folder.rglob("*") if file.is_file())
    with largest_file(10):
        for event in (picture(REAL, 1), Text(GIT_DIFF, "-" * 99), File(GENERATOR_ARCH, recipe)):
            with pytest.raises(OSError, match="File too large"):
                journal.write(event)
    assert sorted(file for file in journal.folder.rglob("*") if file.is_file()) == before
    journal.write(picture(REAL, 1))
    assert (journal.folder / REAL / "00000001.png").exists()


def test_a_run_that_lost_something_has_not_finished(journal: Journal) -> None:
    journal.write(block(1, 20))
    size = (journal.folder / METRICS_FILE).stat().st_size
    with largest_file(size + 10), pytest.raises(OSError, match="File too large"):
        with suppress(OSError):
            journal.write(block(21, 22))
        journal.close("finished")
    assert read_fields(journal.folder)["sys/status"] == "interrupted"
