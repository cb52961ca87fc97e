"""A damaged line or file costs itself alone: it is skipped, and told of."""

from __future__ import annotations

import errno
import math
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.journal_events import DLOSS, EPOCH_GLOSS, GLOSS, block, epoch_means, write_all
from tracking.backends.local import (
    LAST_FILE,
    METRICS_FILE,
    Journal,
    last_values,
    load_last_values,
    load_tails,
    open_tracker,
    read_events,
    read_steps,
    rewind,
)
from tracking.errors import StoreError, StoreWarning
from tracking.events import Metrics
from tracking.testing.sample_run import RUN
from tracking.tracker import Run

DAMAGED = [
    b"null",
    b"1",
    b'"text"',
    b"[1, 2]",
    b"{}",
    b"",
    b"{",
    b"\xff\xfe",
    b"<<<<<<< HEAD",
    b'{"step": 6}',
    b'{"time": 6}',
    b'{"step": 1.5, "time": 6}',
    b'{"step": true, "time": 6}',
    b'{"step": 9223372036854775808, "time": 6}',
    b'{"step": 6, "time": 9007199254740992}',
    b'{"step": null, "time": 6, "a": 1}',
    b'{"step": 6, "time": 6, "a": null}',
    b'{"step": 6, "time": 6, "a": true}',
    b'{"step": 6, "time": 6, "a": "2026-01-01"}',
    b'{"step": 6, "time": 6, "a": {"b": 1}}',
    b'{"step": 6, "time": 6, "a": ' + b"[" * 100_000 + b"1" + b"]" * 100_000 + b"}",
    b'{"step": 6, "time": 6, "a": ' + b'{"b":' * 100_000,
]


@pytest.mark.parametrize("line", DAMAGED, ids=lambda line: line[:40].decode(errors="replace"))
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_damaged_line_is_skipped_and_counted(journal: Journal, line: bytes, place: int) -> None:
    write_all(journal, [block(1, 5)])
    metrics = journal.folder / METRICS_FILE
    lines = metrics.read_bytes().splitlines()
    metrics.write_bytes(b"\n".join([*lines[:place], line, *lines[place:], b""]))
    store, run = journal.folder.parent, journal.folder.name

    with pytest.warns(StoreWarning, match=rf"{METRICS_FILE}: 1 damaged line skipped"):
        table = read_steps(journal.folder)
    assert list(table["step"]) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(table[GLOSS], np.sin(range(1, 6)))
    with pytest.warns(StoreWarning, match="1 damaged line"):
        assert last_values(journal.folder)[DLOSS] == 1 / 5
    with pytest.warns(StoreWarning, match="1 damaged line"):
        (events,) = [e for e in read_events(journal.folder) if isinstance(e, Metrics)]
    assert list(events.steps) == [1, 2, 3, 4, 5]
    with warnings.catch_warnings():  # of what is not read, it may not be known
        warnings.simplefilter("ignore")
        assert list(load_tails(store, run, [GLOSS], 0.4)[GLOSS].index) == [4, 5]
    rewind(journal.folder, 3)
    assert metrics.read_bytes().count(b"\n") == 4  # what cannot be read is not destroyed
    assert line in metrics.read_bytes().split(b"\n")


@pytest.mark.filterwarnings("ignore::tracking.errors.StoreWarning")
def test_mutated_lines_read_the_same_by_both_parsers(journal: Journal) -> None:
    """PyArrow reads what is flat and whole; it must neither die nor disagree with Python."""
    write_all(journal, [block(1, 12), epoch_means(12)])
    metrics = journal.folder / METRICS_FILE
    content = metrics.read_bytes()
    pieces = [b"null", b"}\n{", b"{", b"[", b'"', b"1e999", b'"NaN"', b'"step": 3, ', b"\x00", b"-"]
    draws = random.Random(0)
    for _ in range(150):
        data = bytearray(content)
        for _ in range(draws.choice([1, 1, 3])):
            place = draws.randrange(len(data))
            if draws.random() < 0.4:
                data[place] ^= 1 << draws.randrange(8)
            else:
                data[place:place] = draws.choice(pieces)
        metrics.write_bytes(data)
        table = read_steps(journal.folder).set_index("step")
        last: dict[tuple[str, int], float] = {}
        for event in read_events(journal.folder):
            if isinstance(event, Metrics):
                for path, values in event.values.items():
                    last |= {
                        (path, step): value
                        for step, value in zip(event.steps, values, strict=True)
                        if not math.isnan(value)
                    }
        assert {key: table.loc[key[1], key[0]] for key in last} == last


@pytest.mark.parametrize("content", ["[1]", "null", "{", '{"step": null}', '{"a": {"b": 1}}', "\0"])
def test_the_last_values_do_not_depend_on_the_file_that_saves_time(
    journal: Journal, content: str
) -> None:
    write_all(journal, [block(1, 5)])
    journal.close("finished")
    expected = last_values(journal.folder)
    (journal.folder / LAST_FILE).write_text(content)
    assert last_values(journal.folder) == expected


def test_the_last_value_of_a_metric_is_found_however_far_back_it_stands(journal: Journal) -> None:
    score = "evaluation/best_lenet_fid"
    write_all(journal, [Metrics([1], [1], {score: [0.5]}), epoch_means(1), block(2, 2_500)])
    assert (journal.folder / METRICS_FILE).stat().st_size > 3 * 65_536
    last = last_values(journal.folder)
    assert (last[score], last[EPOCH_GLOSS], last["step"]) == (0.5, 1 / 3, 2_500)


def test_a_metric_cannot_take_the_place_of_the_step_or_the_time(tmp_path: Path) -> None:
    paths = ["step", "time", "run", "/step", "a/step"]
    values = {path: [float(index), index + 0.5] for index, path in enumerate(paths)}
    journal = open_tracker(Run("imported", "", 1), tmp_path)
    journal.write(Metrics([1, 2], [10, 20], values))
    for _ in range(2):  # while it lasts, and once it has ended
        table = read_steps(journal.folder)
        assert list(table["step"]) == [1, 2]
        assert set(table["run"]) == {"imported"}
        columns = {"step": "/step", "time": "/time", "run": "/run", "/step": "//step"}
        for path, series in values.items():
            assert list(table[columns.get(path, path)]) == series
        assert load_last_values(tmp_path, "imported") == {p: v[-1] for p, v in values.items()}
        (block_read,) = [e for e in read_events(journal.folder) if isinstance(e, Metrics)]
        assert block_read == Metrics([1, 2], [10, 20], values)
        assert list(load_tails(tmp_path, "imported", ["step"], 0)["step"]) == [0.5]
        journal.close("finished")
        journal = open_tracker(Run("imported", "", 1), tmp_path)
        assert journal.held().last_step == dict.fromkeys(values, 2)


def test_a_whole_journal_is_read_without_a_warning(journal: Journal) -> None:
    write_all(journal, [block(1, 5), Metrics([6], [6], {GLOSS: [math.nan]})])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_steps(journal.folder)
        list(read_events(journal.folder))


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 1.5])
def test_a_step_that_cannot_be_kept_is_refused_and_not_changed(
    journal: Journal, step: float
) -> None:
    with pytest.raises(StoreError, match="takes no steps"):
        journal.write(Metrics([step], [1], {GLOSS: [0.5]}))  # type: ignore[list-item]
    write_all(journal, [Metrics([-3, 2**63 - 1], [1, 2], {GLOSS: [0.5, 1.0]})])
    assert list(read_steps(journal.folder)["step"]) == [-3, 2**63 - 1]


def test_a_growing_journal_is_read_on_and_a_rewound_one_anew(journal: Journal) -> None:
    write_all(journal, [block(1, 5), epoch_means(5)])
    assert last_values(journal.folder)["step"] == 5
    metrics = journal.folder / METRICS_FILE
    content = bytearray(metrics.read_bytes())
    content[:20] = b"x" * 20  # what was read is not read again
    with metrics.open("r+b") as file:
        file.write(content)
    journal.write(block(6, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        last = last_values(journal.folder)
    assert (last["step"], last[GLOSS], last[EPOCH_GLOSS]) == (8, math.sin(8), 5 / 3)
    rewind(journal.folder, 4)
    with pytest.warns(StoreWarning, match="1 damaged line"):
        last = last_values(journal.folder)
    assert (last["step"], last[GLOSS]) == (4, math.sin(4))
    assert EPOCH_GLOSS not in last


def test_a_journal_that_cannot_be_read_is_neither_cut_nor_rewound(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(journal, [block(1, 5)])
    metrics = journal.folder / METRICS_FILE
    content = metrics.read_bytes()
    real_open = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == metrics:
            raise OSError(errno.EIO, "Input/output error")
        return real_open(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.warns(StoreWarning, match="is left out"):
            assert read_steps(journal.folder).empty
        with pytest.raises(OSError, match="Input/output"):
            rewind(journal.folder, 3)
        with pytest.raises(OSError, match="Input/output"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_tracker(RUN, journal.folder.parent)
    assert metrics.read_bytes() == content
