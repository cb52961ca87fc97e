"""The local journal: real files, full disks, and processes that are killed."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from tracking.backends.local import (
    CONFIG_FILE,
    LAST_FILE,
    METRICS_FILE,
    RUN_FILE,
    Journal,
    last_values,
    load_runs,
    load_steps,
    open_tracker,
    read_events,
    read_fields,
    read_run,
    read_steps,
    rewind,
    run_folders,
)
from tracking.events import (
    ARTIFACTS,
    FIXED_NOISE,
    GENERATOR_ARCH,
    GIT_DIFF,
    REAL,
    TRACKERS,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import to_iso8601
from tracking.lock import locked
from tracking.tables import Point, run_table, step_table
from tracking.tracker import Held, Run

CREATED = 1_700_000_000_123
RUN = Run("digits-abc234", "a first run", CREATED)
IDENTITY = {"sys/id": RUN.id, "sys/name": RUN.name, "sys/created": to_iso8601(CREATED)}
GLOSS = "training/batch/Gloss"
DLOSS = "training/batch/Dloss"
EPOCH_GLOSS = "training/epoch/Gloss"
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_tracker(RUN, tmp_path)


def block(first: int, last: int) -> Metrics:
    """Two series of one block, `last` included."""
    steps = range(first, last + 1)
    values = {GLOSS: [math.sin(step) for step in steps], DLOSS: [1 / step for step in steps]}
    return Metrics(list(steps), [CREATED + 10 * step for step in steps], values)


def epoch_means(step: int) -> Metrics:
    """At the step of the epoch's last batch, a moment later."""
    return Metrics([step], [CREATED + 10 * step + 5], {EPOCH_GLOSS: [step / 3]})


def picture(path: str, step: int, channels: int = 3) -> Image:
    pixels = np.random.default_rng(step).integers(0, 256, (12, 10, channels), dtype=np.uint8)
    return Image(path, step, CREATED + step, pixels)


def write_all(journal: Journal, events: Sequence[Event]) -> None:
    for event in events:
        journal.write(event)


def points(events: Sequence[Event]) -> list[Point]:
    """All single values of metrics, series by series, each in the order of the events."""
    single = [
        (path, step, time, float(value))
        for event in events
        if isinstance(event, Metrics)
        for path, values in event.values.items()
        for step, time, value in zip(event.steps, event.times, values, strict=True)
    ]
    return sorted(single, key=lambda point: point[0])


def assert_holds(folder: Path, events: Sequence[Event]) -> None:
    """The metrics of the run in `folder` are those of `events`: each once, in order, no others."""
    assert repr(points(list(read_events(folder)))) == repr(points(events))  # NaN equals NaN
    assert_frame_equal(read_steps(folder), step_table(folder.name, points(events)))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A file that reaches `size` bytes is cut there, and writing on raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def process(
    target: Callable[[Path, Connection], NoReturn], store: Path
) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process of its own, and what it says."""
    ours, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=target, args=(store, theirs))
    child.start()
    theirs.close()  # so that waiting for a dead process raises
    try:
        yield child, ours
    finally:
        child.kill()
        child.join()


def train(store: Path, test: Connection) -> NoReturn:
    """Write steps for ever, and say of each when it is written."""
    journal = open_tracker(RUN, store)
    with locked(journal.folder):
        journal.write(Fields({"sys/status": "running"}))
        step = 0
        while True:
            step += 1
            journal.write(block(step, step))
            test.send(step)


def rewrite_fields(store: Path, test: Connection) -> NoReturn:
    """Write fields for ever: always a number, and a long text made of it."""
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
        test.send(number)


# What is written is read back.


def test_every_event_reads_back_equal(tmp_path: Path, journal: Journal) -> None:
    recipe = tmp_path / "some name.toml"
    recipe.write_bytes(bytes(range(256)))
    values: dict[str, Value] = {
        "config/optimizer/lr": 2e-4,
        "config/optimizer/betas": [0.5, 0.999],
        "config/dataset/path": "/data/naïve 星/\udcff",
        "config/seed": 2**70,
        "config/limit": None,
        "sys/tags": ["one", "two, three"],
        "sys/command": "dcgan train --name 'a \"b\"\n'",
        "sys/resumable": True,
    }
    texts = [
        Text(GENERATOR_ARCH, "Generator(\n  (0): näme 🌌\n)\n"),
        Text(GIT_DIFF, "unix\nwindows\r\nold mac\rno end"),
        Text(f"{ARTIFACTS}/notes/v1.2", ""),
    ]
    metrics: list[Event] = [block(1, 1500), epoch_means(1500), block(1501, 2600), epoch_means(2600)]
    images = [picture(FIXED_NOISE, 500), picture(FIXED_NOISE, 1000), picture(REAL, 1, channels=1)]
    written = [Fields(values), *texts, File(f"{ARTIFACTS}/recipe", recipe), *metrics, *images]
    write_all(journal, [*written, Fields({f"{TRACKERS}/mlflow": "open"})])
    journal.close("finished")

    back = list(read_events(journal.folder))
    [fields] = [event for event in back if isinstance(event, Fields)]
    assert fields.values == {**values, **IDENTITY, "sys/status": "finished"}
    assert {event for event in back if isinstance(event, Text)} == set(texts)
    [file] = [event for event in back if isinstance(event, File)]
    assert (file.path, file.source.suffix) == (f"{ARTIFACTS}/recipe", ".toml")
    assert file.source.read_bytes() == recipe.read_bytes()
    assert points(back) == points(metrics)
    pictures = [event for event in back if isinstance(event, Image)]
    for image, original in zip(pictures, images, strict=True):
        assert (image.path, image.step, image.time) == (
            original.path,
            original.step,
            original.time,
        )
        assert image.pixels.dtype == np.uint8
        np.testing.assert_array_equal(image.pixels, original.pixels)


def test_both_tables_are_those_of_the_events(tmp_path: Path) -> None:
    for index, name in enumerate(("later", "earlier")):
        journal = open_tracker(Run(f"run-{index}", name, CREATED - index), tmp_path)
        journal.write(Fields({"config/seed": index, f"config/only_{index}": [index]}))
        write_all(journal, [block(1, 30), epoch_means(30)])
        journal.close("finished")

    runs: dict[str, dict[str, Value]] = {
        f"run-{index}": {
            "sys/id": f"run-{index}",
            "sys/name": name,
            "sys/created": to_iso8601(CREATED - index),
            "sys/status": "finished",
            "config/seed": index,
            f"config/only_{index}": [index],
        }
        for index, name in enumerate(("later", "earlier"))
    }
    assert_frame_equal(load_runs(tmp_path), run_table(runs))
    expected = step_table("run-1", points([block(1, 30), epoch_means(30)]))
    assert_frame_equal(load_steps(tmp_path, "run-1"), expected)


def test_a_person_can_read_the_folder(journal: Journal) -> None:
    journal.write(Fields({"config/optimizer/lr": 2e-4, "sys/seed": 1, "sys/command": "träin"}))
    write_all(journal, [block(1, 2), picture(FIXED_NOISE, 500), Text(GENERATOR_ARCH, "G")])
    journal.close("finished")
    files = {file.relative_to(journal.folder) for file in journal.folder.rglob("*.*")}
    assert files == {
        Path(RUN_FILE),
        Path(CONFIG_FILE),
        Path(METRICS_FILE),
        Path(LAST_FILE),
        Path("images/fixed_noise/00000500.png"),
        Path("artifacts/Generator_arch.txt"),
    }
    assert json.loads((journal.folder / CONFIG_FILE).read_text()) == {"optimizer": {"lr": 2e-4}}
    run = (journal.folder / RUN_FILE).read_text(encoding="utf-8")
    assert '"command": "träin"' in run
    assert json.loads(run)["sys"]["seed"] == 1
    first = (journal.folder / METRICS_FILE).read_text().splitlines()[0]
    assert json.loads(first) == {
        "step": 1,
        "time": CREATED + 10,
        GLOSS: math.sin(1),
        DLOSS: 1.0,
    }


@pytest.mark.parametrize(
    "values",
    [
        [math.nan, math.nan, math.nan],
        [1.0, math.nan, 2.0],
        [math.inf, -math.inf, math.nan],
        [-0.0, 5e-324, 1.7976931348623157e308],
        [1, 2.5, 3],
    ],
    ids=str,
)
def test_every_float_reads_back(journal: Journal, values: list[float]) -> None:
    times = [CREATED, CREATED + 1, CREATED + 2]
    events = [
        Metrics([1, 2, 3], times, {GLOSS: values, DLOSS: [0.25, 0.5, 0.75]}),
        Metrics([3], [CREATED + 3], {EPOCH_GLOSS: values[:1]}),
    ]
    write_all(journal, events)
    assert_holds(journal.folder, events)

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    for line in (journal.folder / METRICS_FILE).read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_the_means_of_an_epoch_join_the_row_of_its_last_step(journal: Journal) -> None:
    write_all(journal, [block(1, 3), epoch_means(3), block(4, 6), epoch_means(6)])
    table = read_steps(journal.folder)
    assert list(table["step"]) == [1, 2, 3, 4, 5, 6]
    nan = math.nan
    np.testing.assert_array_equal(table[EPOCH_GLOSS], [nan, nan, 1.0, nan, nan, 2.0])
    np.testing.assert_array_equal(table[GLOSS], np.sin(range(1, 7)))
    times = table["time"].astype("int64") - CREATED
    assert list(times) == [10, 20, 35, 40, 50, 65]


def test_of_a_step_that_was_measured_twice_the_last_value_counts(journal: Journal) -> None:
    again = Metrics([2, 3], [CREATED + 90, CREATED + 91], {GLOSS: [7.0, 8.0]})
    write_all(journal, [block(1, 4), again])
    expected = step_table(journal.folder.name, points([block(1, 4), again]))
    assert list(expected[GLOSS]) == [math.sin(1), 7.0, 8.0, math.sin(4)]
    assert_frame_equal(read_steps(journal.folder), expected)


@pytest.mark.parametrize("last", [0.5, math.nan], ids=["by pyarrow", "with a NaN"])
def test_ten_thousand_steps_read_back(journal: Journal, last: float) -> None:
    events: list[Event] = []
    for first in range(1, 10_000, 100):
        events += [block(first, first + 99), epoch_means(first + 99)]
    # Whole numbers at first, as an epoch's number is; fractions a megabyte later.
    counts = [float(last) if step == 10_000 else step for step in range(1, 10_001)]
    times = [CREATED + 10 * step for step in range(1, 10_001)]
    events.append(Metrics(list(range(1, 10_001)), times, {"training/batch/count": counts}))
    write_all(journal, events)
    assert_holds(journal.folder, events)
    assert len(read_steps(journal.folder)) == 10_000


def test_images_keep_their_time_under_the_eyes_of_a_reader(journal: Journal) -> None:
    """A remote reads the journal while the training writes it."""
    over = threading.Event()
    seen: set[float] = set()

    def look() -> None:
        while not over.is_set():
            for file in (journal.folder / REAL).glob("[!.]*.png"):
                seen.add(file.stat().st_mtime_ns / 1e6)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            journal.write(picture(REAL, 1))
    finally:
        over.set()
        looking.join()
        sys.setswitchinterval(interval)
    assert seen == {CREATED + 1}


def test_the_newest_values_are_found_in_a_long_run(journal: Journal) -> None:
    write_all(journal, [block(1, 100), epoch_means(50), epoch_means(100), block(101, 5000)])
    assert last_values(journal.folder) == {
        "step": 5000.0,
        "time": CREATED + 50_000.0,
        GLOSS: math.sin(5000),
        DLOSS: 1 / 5000,
        EPOCH_GLOSS: 100 / 3,
    }
    write_all(journal, [epoch_means(5000), Metrics([5001], [CREATED], {GLOSS: [-math.inf]})])
    with (journal.folder / METRICS_FILE).open("a") as file:
        file.write('{"step": 5002, "time"')
    newest = last_values(journal.folder)
    assert newest == {
        "step": 5001.0,
        "time": CREATED,
        GLOSS: -math.inf,
        DLOSS: 1 / 5000,
        EPOCH_GLOSS: 5000 / 3,
    }


def test_reading_where_nothing_is_finds_nothing_and_creates_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "digits-zzz999"
    assert read_fields(folder) == {}
    assert last_values(folder) == {}
    assert run_folders(tmp_path / "store") == []
    assert load_runs(tmp_path / "store").empty
    assert_frame_equal(read_steps(folder), step_table(folder.name, []))
    assert list(tmp_path.iterdir()) == []


# A run that goes on.


def test_a_reopened_run_knows_what_it_holds(tmp_path: Path, journal: Journal) -> None:
    assert journal.held() == Held()
    write_all(journal, [Fields({"config/seed": 1, "sys/group": "old"}), block(1, 30)])
    write_all(journal, [epoch_means(20), picture(FIXED_NOISE, 25), Text(GENERATOR_ARCH, "G")])
    journal.close("interrupted")

    again = open_tracker(RUN, tmp_path)
    assert again.held() == Held(
        last_step={GLOSS: 30, DLOSS: 30, EPOCH_GLOSS: 20},
        images=frozenset({(FIXED_NOISE, 25)}),
        files=frozenset({GENERATOR_ARCH}),
    )
    write_all(again, [Fields({"sys/group": "new"}), block(31, 40)])
    again.close("finished")
    assert_holds(again.folder, [block(1, 40), epoch_means(20)])
    fields = read_fields(again.folder)
    assert fields == {
        **IDENTITY,
        "config/seed": 1,
        "sys/group": "new",
        "sys/status": "finished",
    }
    assert read_run(again.folder) == RUN


def test_a_torn_last_line_is_dropped_wherever_it_was_cut(tmp_path: Path, journal: Journal) -> None:
    write_all(journal, [block(1, 3)])
    metrics = journal.folder / METRICS_FILE
    whole = metrics.read_bytes()
    last_line = whole.splitlines(keepends=True)[-1]
    for kept in range(len(last_line)):
        metrics.write_bytes(whole[: len(whole) - len(last_line) + kept])
        assert_holds(journal.folder, [block(1, 2)])
        again = open_tracker(RUN, tmp_path)
        assert again.held().last_step == {GLOSS: 2, DLOSS: 2}
        again.write(block(3, 4))
        again.close("finished")
        assert_holds(journal.folder, [block(1, 4)])


def test_a_rewound_run_forgets_what_was_measured_later_and_nothing_else(
    tmp_path: Path, journal: Journal
) -> None:
    kept: list[Event] = [block(1, 20), epoch_means(20), picture(FIXED_NOISE, 10), picture(REAL, 20)]
    later: list[Event] = [
        block(21, 45),
        epoch_means(40),
        picture(FIXED_NOISE, 21),
        picture(REAL, 40),
    ]
    journal.write(Fields({"config/seed": 1}))
    write_all(journal, [Text(GENERATOR_ARCH, "G"), *kept, *later])
    journal.close("interrupted")
    checkpoint = journal.folder / "checkpoints" / "step-00000040.pt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    fields = read_fields(journal.folder)

    rewind(journal.folder, 20)
    assert_holds(journal.folder, kept)
    assert open_tracker(RUN, tmp_path).held() == Held(
        last_step={GLOSS: 20, DLOSS: 20, EPOCH_GLOSS: 20},
        images=frozenset({(FIXED_NOISE, 10), (REAL, 20)}),
        files=frozenset({GENERATOR_ARCH}),
    )
    assert read_fields(journal.folder) == fields
    assert checkpoint.exists()

    again = open_tracker(RUN, tmp_path)
    write_all(again, later)
    assert_holds(journal.folder, [*kept, *later])


def test_what_a_killed_process_left_half_written_goes_with_the_next_one(tmp_path: Path) -> None:
    journal = open_tracker(RUN, tmp_path)
    journal.write(Fields({"config/seed": 1}))
    dead = multiprocessing.Process(target=int)
    dead.start()
    dead.join()
    checkpoints = journal.folder / "checkpoints"
    checkpoints.mkdir()
    remains = checkpoints / f".step-00000030.pt.{dead.pid}.tmp"
    being_written = checkpoints / f".step-00000031.pt.{os.getpid()}.tmp"
    for file in (remains, being_written, checkpoints / "step-00000029.pt"):
        file.touch()
    rewind(journal.folder, 0)
    assert sorted(checkpoints.iterdir()) == [being_written, checkpoints / "step-00000029.pt"]


def test_a_run_can_be_rewound_to_its_start_even_before_its_first_step(tmp_path: Path) -> None:
    journal = open_tracker(RUN, tmp_path)
    (journal.folder / METRICS_FILE).unlink()
    rewind(journal.folder, 0)
    assert_holds(journal.folder, [])
    journal = open_tracker(RUN, tmp_path)
    write_all(journal, [block(1, 5), picture(REAL, 1)])
    rewind(journal.folder, 0)
    assert [type(event) for event in read_events(journal.folder)] == [Fields]


def test_a_file_that_is_in_its_place_already_stays(journal: Journal) -> None:
    recipe = journal.folder / "artifacts" / "recipe.toml"
    recipe.parent.mkdir()
    recipe.write_text("name = 'digits'\n")
    journal.write(File(f"{ARTIFACTS}/recipe", recipe))
    assert recipe.read_text() == "name = 'digits'\n"


# Full disks.


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


# Killed processes.


def test_a_killed_run_is_called_so_and_has_every_step_that_was_written(tmp_path: Path) -> None:
    folder = tmp_path / RUN.id
    with process(train, tmp_path) as (child, said):
        while (written := said.recv()) < 200:
            pass
        assert read_fields(folder)["sys/status"] == "running"
        assert load_runs(tmp_path).loc[RUN.id, "sys/status"] == "running"
        child.kill()
        child.join()
        with suppress(EOFError, OSError):
            while True:
                written = said.recv()
    assert read_fields(folder)["sys/status"] == "killed"
    assert load_runs(tmp_path).loc[RUN.id, "sys/status"] == "killed"
    steps = len(read_steps(folder))
    assert steps in (written, written + 1)  # the kill came before or after it could say so
    assert_holds(folder, [block(1, steps)])


def test_fields_are_whole_at_every_moment_and_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / RUN.id

    def check() -> None:
        for name in (CONFIG_FILE, RUN_FILE):
            tree = json.loads((folder / name).read_text())
            values = tree.get("sys", tree)
            assert values["text"] == f"{values['number']} " * 10_000

    for _ in range(3):
        with process(rewrite_fields, tmp_path) as (_, said):
            while said.recv() < 40:
                check()
        check()  # now that it is killed
