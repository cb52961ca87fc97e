"""Journals whose process is killed."""

from __future__ import annotations

import json
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from tests.support.child_process import child_process
from tests.support.journal_events import assert_holds, block
from tracking.backends.local import (
    CONFIG_FILE,
    RUN_FILE,
    load_runs,
    open_tracker,
    read_fields,
    read_steps,
)
from tracking.events import Fields
from tracking.lock import locked
from tracking.testing.sample_run import RUN


def train(store: Path, connection: Connection) -> NoReturn:
    """Write steps for ever, and send the number of each once it is written."""
    journal = open_tracker(RUN, store)
    with locked(journal.folder):
        journal.write(Fields({"sys/status": "running"}))
        step = 0
        while True:
            step += 1
            journal.write(block(step, step))
            connection.send(step)


def rewrite_fields(store: Path, connection: Connection) -> NoReturn:
    """Write fields for ever: a number, and a long text that repeats it."""
    journal = open_tracker(RUN, store)
    number = 0
    while True:
        number += 1
        text = f"{number} " * 10_000
        journal.write(
            Fields(
                {
                    "config/number": number,
                    "config/text": text,
                    "sys/number": number,
                    "sys/text": text,
                }
            )
        )
        connection.send(number)


def test_a_killed_run_is_called_so_and_has_every_step_that_was_written(tmp_path: Path) -> None:
    folder = tmp_path / RUN.id
    with child_process(train, tmp_path) as (child, connection):
        while (written := connection.recv()) < 200:
            pass
        assert read_fields(folder)["sys/status"] == "running"
        assert load_runs(tmp_path).loc[RUN.id, "sys/status"] == "running"
        child.kill()
        child.join()
        with suppress(EOFError, OSError):
            while True:
                written = connection.recv()
    assert read_fields(folder)["sys/status"] == "killed"
    assert load_runs(tmp_path).loc[RUN.id, "sys/status"] == "killed"
    steps = len(read_steps(folder))
    assert steps in (written, written + 1)  # the kill came before or after the step was sent
    assert_holds(folder, [block(1, steps)])


def test_fields_are_whole_at_every_moment_and_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / RUN.id

    def check() -> None:
        for name in (CONFIG_FILE, RUN_FILE):
            tree = json.loads((folder / name).read_text())
            values = tree.get("sys", tree)
            assert values["text"] == f"{values['number']} " * 10_000

    for _ in range(3):
        with child_process(rewrite_fields, tmp_path) as (_, connection):
            while connection.recv() < 40:
                check()
        check()  # now that it is killed
