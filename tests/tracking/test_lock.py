"""One writer a run, between real processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.support.child_process import child_process
from tracking.backends.local import open_tracker, read_fields
from tracking.errors import StoreError
from tracking.events import Fields
from tracking.lock import is_locked, locked
from tracking.store import tag_run
from tracking.testing.sample_run import RUN


def hold(folder: Path, connection: Connection) -> None:
    """Lock the run until the test sends anything, or for ever."""
    with locked(folder):
        connection.send("held")
        connection.recv()
    connection.send("free")
    connection.recv()


def count(folder: Path, connection: Connection) -> None:
    """Add one to the number in a file, many times; unlocked, two processes would lose some."""
    connection.send("ready")
    for _ in range(50):
        with locked(folder, patience=60):
            number = int((folder / "number").read_text())
            time.sleep(0.001)
            (folder / "number").write_text(str(number + 1))
    connection.send("done")


@contextmanager
def started_process(
    target: Callable[[Path, Connection], None], folder: Path
) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that has started, and the connection to it."""
    with child_process(target, folder) as (child, connection):
        assert connection.recv() in ("held", "ready")
        yield child, connection


def test_no_second_process_writes_a_run(tmp_path: Path) -> None:
    with started_process(hold, tmp_path) as (_, holder):
        assert is_locked(tmp_path)
        message = f"The run {tmp_path.name} is being written by another process."
        with pytest.raises(StoreError, match=message), locked(tmp_path, patience=0.1):
            raise AssertionError("two hold one run")
        holder.send("let go")
        assert holder.recv() == "free"
        assert not is_locked(tmp_path)
        with locked(tmp_path):
            assert is_locked(tmp_path)


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    with started_process(hold, tmp_path) as (child, _):
        child.kill()
        child.join()
        assert not is_locked(tmp_path)
        with locked(tmp_path, patience=0):
            pass


def test_two_processes_take_turns(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    with (
        started_process(count, tmp_path) as (_, one),
        started_process(count, tmp_path) as (_, other),
    ):
        assert one.recv() == other.recv() == "done"
    assert (tmp_path / "number").read_text() == "100"


def test_a_look_at_the_lock_does_not_keep_a_writer_out(tmp_path: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_locked(tmp_path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            with locked(tmp_path, patience=60):
                pass
    finally:
        stop.set()
        looking.join()


def test_readers_of_a_killed_run_neither_see_each_other_nor_keep_a_writer_out(
    tmp_path: Path,
) -> None:
    """Each look opens the lock's file anew, so threads are to each other as processes are."""
    journal = open_tracker(RUN, tmp_path)
    journal.write(Fields({"sys/status": "running"}))
    with locked(journal.folder, training=True):
        assert read_fields(journal.folder)["sys/status"] == "running"

    def look(_: int) -> set[object]:
        return {read_fields(journal.folder)["sys/status"] for _ in range(250)}

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look, number) for number in range(4)]
        tagged = 0
        while tagged < 5 or not all(each.done() for each in looks):
            tag_run(journal.folder, [f"tag {tagged}"], [])
            tagged += 1
        assert [each.result() for each in looks] == [{"killed"}] * 4
    assert len(read_fields(journal.folder)["sys/tags"]) == tagged


def test_a_run_that_cannot_be_written_to_can_be_looked_at(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    (tmp_path / "lock").chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert not is_locked(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert not is_locked(tmp_path / "nothing here")
    assert not (tmp_path / "nothing here").exists()


def test_an_exception_lets_go_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    assert not is_locked(tmp_path)


def test_where_no_lock_can_be_made_a_run_counts_as_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_locked(tmp_path / "file")
