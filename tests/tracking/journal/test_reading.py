"""What is written to the journal is read back."""

from __future__ import annotations

import json
import math
import sys
import threading
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from tests.support.journal_events import (
    DLOSS,
    EPOCH_GLOSS,
    GLOSS,
    IDENTITY,
    assert_holds,
    block,
    epoch_means,
    points,
    write_all,
)
from tracking.backends.local import (
    CONFIG_FILE,
    LAST_FILE,
    METRICS_FILE,
    RUN_FILE,
    Journal,
    evaluation_steps,
    last_values,
    load_runs,
    load_steps,
    open_tracker,
    read_events,
    read_fields,
    read_steps,
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
from tracking.tables import run_table, step_table
from tracking.testing.sample_run import CREATED, picture
from tracking.tracker import Run


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
    stop = threading.Event()
    times: set[float] = set()

    def look() -> None:
        while not stop.is_set():
            for file in (journal.folder / REAL).glob("[!.]*.png"):
                times.add(file.stat().st_mtime_ns / 1e6)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(300):
            journal.write(picture(REAL, 1))
    finally:
        stop.set()
        looking.join()
        sys.setswitchinterval(interval)
    assert times == {CREATED + 1}


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


def test_the_step_of_an_evaluation_is_found_past_damaged_lines(journal: Journal) -> None:
    for step, values in (
        (10, {"evaluation/fid": (9.0,), "evaluation/kid": (0.1,)}),
        (20, {"evaluation/kid": (0.2,)}),
        (30, {"evaluation/best_fid": (9.0,), GLOSS: (1.0,)}),
    ):
        journal.write(Metrics((step,), (CREATED,), values))
    journal.close("finished")
    with (journal.folder / METRICS_FILE).open("a") as file:
        file.write('{"step": 40, "time": 5, "evaluation/fid": {"damaged": 1}}\n')
        file.write('{"step": 50, "time": 5, "evaluation/ms_ssim": "evaluation/fid"}\n')
    assert evaluation_steps(journal.folder) == {
        "evaluation/fid": 10,
        "evaluation/kid": 20,
        "evaluation/best_fid": 30,
    }


def test_reading_where_nothing_is_finds_nothing_and_creates_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "digits-zzz999"
    assert read_fields(folder) == {}
    assert last_values(folder) == {}
    assert run_folders(tmp_path / "store") == []
    assert load_runs(tmp_path / "store").empty
    assert_frame_equal(read_steps(folder), step_table(folder.name, []))
    assert list(tmp_path.iterdir()) == []
