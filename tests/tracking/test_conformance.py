"""What every backend must do, run on all of them.

A new backend is held to it by its name in `tracking.backends.REMOTES` and in `SDKS`.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from tests.support import REPOSITORY
from tests.support.sample_run import (
    CREATED,
    FIELDS,
    NON_FINITE,
    RUN,
    assert_same_as_journal,
    block,
    epoch_means,
    picture,
    whole_run,
    write,
)
from tracking.backends import REMOTES, Backend, load_backend, local
from tracking.events import (
    ARTIFACTS,
    FIXED_NOISE,
    GENERATOR_ARCH,
    REAL,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.lock import locked
from tracking.replay import Ledger
from tracking.tracker import Held, Run, Status

SDKS = {
    "local": ("pandas", "PIL"),
    "mlflow": ("mlflow", "pandas"),
    "neptune": ("neptune", "pandas"),
    "tensorboard": ("tensorboard", "pandas"),
}


@pytest.fixture(params=["local", *REMOTES])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for variable in os.environ:
        if variable.startswith(("MLFLOW_", "NEPTUNE_")):
            monkeypatch.delenv(variable)
    return str(request.param)


@pytest.fixture
def backend(name: str) -> Backend:
    return load_backend(name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "störe of 100% runs"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A store of its own, for the run as the journal has it."""
    return tmp_path / "journal"


def content(events: Iterable[Event]) -> dict[str, object]:
    """All that a run's events say, in a form that can be compared.

    NaN is not equal to itself, hence the values of metrics are texts that tell them all apart.
    """
    fields: dict[str, object] = {}
    points: dict[tuple[str, int], tuple[int, str]] = {}
    images: dict[tuple[str, int], object] = {}
    artifacts: dict[str, object] = {}
    for event in events:
        match event:
            case Fields(values):
                assert not fields
                fields = dict(values)
            case Metrics(steps, times, values):
                for path, series in values.items():
                    for step, time, value in zip(steps, times, series, strict=True):
                        assert (path, step) not in points, f"{path} at {step} twice"
                        points[path, step] = (time, repr(value))
            case Image(path, step, time, pixels):
                assert pixels.dtype == np.uint8
                assert (path, step) not in images
                images[path, step] = (time, pixels.shape, pixels.tobytes())
            case Text(path, text):
                assert path not in artifacts
                artifacts[path] = text
            case File(path, source):
                assert path not in artifacts
                artifacts[path] = (source.suffix, source.read_bytes())
    return {"fields": fields, "points": points, "images": images, "artifacts": artifacts}


def test_a_run_reads_back_as_the_journals_two_tables(
    backend: Backend, store: Path, journal: Path, tmp_path: Path
) -> None:
    for tracker in (backend.open_tracker(RUN, store), local.open_tracker(RUN, journal)):
        assert tracker.held() == Held()
        write(tracker, whole_run(tmp_path))

    assert_same_as_journal(backend, store, journal)
    assert len(backend.load_steps(store, RUN.id)) == 2_500


def test_what_is_written_can_be_read_before_the_run_ends(
    backend: Backend, store: Path, journal: Path, tmp_path: Path
) -> None:
    trackers = [backend.open_tracker(RUN, store), local.open_tracker(RUN, journal)]
    for event in whole_run(tmp_path):
        for tracker in trackers:
            tracker.write(event)
    (store / RUN.id).mkdir(exist_ok=True)
    with locked(journal / RUN.id), locked(store / RUN.id):  # as the training process does
        assert_same_as_journal(backend, store, journal)
        expected = content(local.load_events(journal, RUN.id))
        assert content(backend.load_events(store, RUN.id)) == expected
    for tracker in trackers:
        tracker.close("interrupted")
    assert_same_as_journal(backend, store, journal)


def test_the_events_are_the_journals(
    backend: Backend, store: Path, journal: Path, tmp_path: Path
) -> None:
    for tracker in (backend.open_tracker(RUN, store), local.open_tracker(RUN, journal)):
        write(tracker, whole_run(tmp_path))

    found = content(backend.load_events(store, RUN.id))
    for kind, expected in content(local.load_events(journal, RUN.id)).items():
        assert found[kind] == expected, kind


def test_the_events_come_in_the_order_of_writing(
    backend: Backend, store: Path, tmp_path: Path
) -> None:
    write(backend.open_tracker(RUN, store), whole_run(tmp_path))

    events = list(backend.load_events(store, RUN.id))
    ranks = {Fields: 0, Text: 1, File: 1, Metrics: 2, Image: 3}
    order = [ranks[type(event)] for event in events]
    assert order == sorted(order)
    steps: dict[str, list[int]] = {}
    for event in events:
        if isinstance(event, Metrics):
            for path in event.values:
                steps.setdefault(path, []).extend(event.steps)
    assert all(series == sorted(series) for series in steps.values())


def test_the_events_make_the_same_run_in_another_store(
    backend: Backend, store: Path, tmp_path: Path
) -> None:
    write(backend.open_tracker(RUN, store), whole_run(tmp_path))

    copy = local.open_tracker(RUN, tmp_path / "copy")
    write(copy, backend.load_events(store, RUN.id))
    assert_same_as_journal(backend, store, tmp_path / "copy")
    expected = content(backend.load_events(store, RUN.id))
    assert content(local.load_events(tmp_path / "copy", RUN.id)) == expected


def test_an_interrupted_run_goes_on_with_nothing_twice_and_nothing_missing(
    backend: Backend, store: Path, journal: Path, tmp_path: Path
) -> None:
    events = whole_run(tmp_path)
    write(local.open_tracker(RUN, journal), events)
    first = backend.open_tracker(RUN, store)
    # A kill within the block, after some steps of it and one of the images.
    for event in (*events[:3], block(1, 1_300), epoch_means(1_250), events[6]):
        first.write(event)

    again = backend.open_tracker(RUN, store)
    held = again.held()
    assert held.last_step == {
        "training/batch/Gloss": 1_300,
        "training/batch/Dloss": 1_300,
        "training/epoch/Gloss": 1_250,
    }
    assert held.images == {(FIXED_NOISE, 500)}
    assert {path for path in held.files if path.startswith(ARTIFACTS)} == {
        GENERATOR_ARCH,
        f"{ARTIFACTS}/recipe",
    }
    write(again, Ledger(held).missing(local.load_events(journal, RUN.id)))

    assert_same_as_journal(backend, store, journal)
    # What the store itself counts is in each backend's own tests.
    found = content(backend.load_events(store, RUN.id))
    assert found == content(local.load_events(journal, RUN.id))

    complete = backend.open_tracker(RUN, store)
    rest = Ledger(complete.held()).missing(local.load_events(journal, RUN.id))
    assert [type(event) for event in rest] == [Fields]
    complete.close("finished")


def test_a_resumed_run_keeps_its_fields_and_its_newest_status(
    backend: Backend, store: Path
) -> None:
    statuses: tuple[Status, ...] = ("interrupted", "failed", "finished")
    for status in statuses:
        tracker = backend.open_tracker(RUN, store)
        tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
        (store / RUN.id).mkdir(exist_ok=True)
        with locked(store / RUN.id):
            assert backend.load_runs(store).loc[RUN.id, "sys/status"] == "running"
        tracker.close(status)
        row = backend.load_runs(store).loc[RUN.id]
        assert (row["sys/status"], row["config/seed"]) == (status, 1)


@pytest.mark.parametrize("value", ["short", "", None, [], 0])
def test_a_shorter_value_takes_the_place_of_a_long_one(
    backend: Backend, store: Path, value: str | int | list[str] | None
) -> None:
    events = [Fields({"sys/note": "long" * 10_000}), Fields({"sys/note": value})]
    write(backend.open_tracker(RUN, store), events)

    [fields, *rest] = backend.load_events(store, RUN.id)
    assert isinstance(fields, Fields)
    assert fields.values["sys/note"] == value
    assert rest == []  # what the long one left behind is no artifact


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, 1),
        (1, 2.5),
        (2.5, 1),
        (True, 1),
        (1, False),
        ("a", ["a", 1]),
        (7, "seven"),
        (1, None),
    ],
)
def test_a_field_may_change_its_type(
    backend: Backend, store: Path, first: Value, second: Value
) -> None:
    events = [Fields({"sys/note": first}), Fields({"sys/note": second})]
    write(backend.open_tracker(RUN, store), events)

    value = backend.load_runs(store).loc[RUN.id, "sys/note"]
    assert value == second
    assert type(value) is type(second)


def test_paths_may_hold_what_names_hold(backend: Backend, store: Path) -> None:
    odd = "zope.interface - 2_x y"
    values: dict[str, Value] = {f"config/{odd}": 1, f"sys/packages/{odd}": "1.0"}
    metric, image, text = f"training/batch/{odd}", f"images/{odd}", f"{ARTIFACTS}/{odd}/v1.2"
    events = [
        Fields(values),
        Text(text, "layers"),
        Metrics([1], [CREATED], {metric: [0.5]}),
        Image(image, 1, CREATED, picture(REAL, 1).pixels),
    ]
    write(backend.open_tracker(RUN, store), events)

    held = backend.open_tracker(RUN, store).held()
    assert held == Held({metric: 1}, frozenset({(image, 1)}), frozenset({text}))
    found = content(backend.load_events(store, RUN.id))
    for kind, expected in content(events).items():
        if kind != "fields":
            assert found[kind] == expected
    row = backend.load_runs(store).loc[RUN.id]
    assert {path: row[path] for path in values} == values


def test_every_value_keeps_its_precision(backend: Backend, store: Path) -> None:
    values = [0.1, 5e-324, 1e300, 1 / 3, 16_777_217.0, *NON_FINITE.values(), 1.5]
    steps = list(range(1, len(values) + 1))
    write(backend.open_tracker(RUN, store), [FIELDS, Metrics(steps, steps, {"a/b": values})])

    np.testing.assert_array_equal(backend.load_steps(store, RUN.id)["a/b"], values)


def test_the_ends_of_metrics_tell_nan_from_what_was_not_measured(
    backend: Backend, store: Path
) -> None:
    gloss, cpu, epoch = "training/batch/Gloss", "system/cpu", "training/epoch/Gloss"
    values = [float(step) for step in range(1, 101)]
    values[94], values[97] = math.nan, -math.inf
    steps = list(range(1, 101))
    events = [
        FIELDS,
        Metrics(steps, steps, {gloss: values}),
        Metrics([95], [95], {cpu: [0.5]}),
        Metrics([98], [98], {cpu: [math.nan]}),
        Metrics([100], [100], {epoch: [math.inf]}),
    ]
    write(backend.open_tracker(RUN, store), events)

    ends = backend.load_tails(store, RUN.id, [gloss, cpu, epoch, "no/such"], 0.1)
    assert {path: list(series.index) for path, series in ends.items()} == {
        gloss: list(range(91, 101)),
        cpu: [95, 98],
        epoch: [100],
    }
    np.testing.assert_array_equal(ends[gloss], values[90:])
    np.testing.assert_array_equal(ends[cpu], [0.5, math.nan])
    last = backend.load_last_values(store, RUN.id)
    assert list(last) == sorted([gloss, cpu, epoch])
    np.testing.assert_array_equal([last[gloss], last[cpu], last[epoch]], [100, math.nan, math.inf])


def test_artifacts_keep_every_byte_when_their_sources_are_gone(
    backend: Backend, store: Path, tmp_path: Path
) -> None:
    texts = {
        "line ends": "one\ntwo\r\nthree\rfour",
        "spaces": "    indented\n\n\n      more \n\ttab\n",
        "markup": "# no heading\n* no list\n<b>&amp;</b> `code` ``` 1. $x$ | a | b |\n",
        "unicode": "naïve, 星, 🌌\u2028\u0085\x00\x7f",
        "one line": "x",
        "empty": "",
        "long": "every line is like this one\n" * 5_000,
    }
    files = {
        "weights.bin": bytes(range(256)) * 300,
        "naïve name.toml": b"a = 1\r\n",
        "no suffix": b"\xff\xfe",
        "empty.dat": b"",
    }
    events: list[Event] = [FIELDS]
    for name, text in texts.items():
        events.append(Text(f"{ARTIFACTS}/texts/{name}", text))
    for index, (file, data) in enumerate(files.items()):
        (tmp_path / file).write_bytes(data)
        events.append(File(f"{ARTIFACTS}/files/{index}", tmp_path / file))
    write(backend.open_tracker(RUN, store), events)
    for file in files:
        (tmp_path / file).unlink()

    expected: dict[str, object] = {f"{ARTIFACTS}/texts/{name}": texts[name] for name in texts}
    for index, (file, data) in enumerate(files.items()):
        expected[f"{ARTIFACTS}/files/{index}"] = (Path(file).suffix, data)
    found = content(backend.load_events(store, RUN.id))["artifacts"]
    assert isinstance(found, dict)
    assert set(found) == set(expected)
    for path, value in expected.items():
        assert found[path] == value, path


def test_runs_of_one_store_do_not_mix(backend: Backend, store: Path) -> None:
    trackers = []
    for index in (2, 0, 1):
        run = Run(f"run-{index}", "the same name", CREATED + index)
        tracker = backend.open_tracker(run, store)
        tracker.write(Fields({"config/seed": index, f"sys/only-{index}": True}))
        trackers.append((index, tracker))
    for index, tracker in trackers:
        tracker.write(Metrics([1], [CREATED + 1], {"training/batch/Gloss": [index / 7]}))
        tracker.write(picture(REAL, index))
        tracker.close("finished")

    runs = backend.load_runs(store)
    assert list(runs.index) == ["run-0", "run-1", "run-2"]
    assert list(runs["config/seed"]) == [0, 1, 2]
    assert list(runs["sys/only-1"]) == [None, True, None]
    for index in range(3):
        steps = backend.load_steps(store, f"run-{index}")
        assert list(steps["training/batch/Gloss"]) == [index / 7]
        images = content(backend.load_events(store, f"run-{index}"))["images"]
        assert isinstance(images, dict)
        assert list(images) == [(REAL, index)]
    assert list(backend.load_steps(store, "run-9").columns) == ["run", "step", "time"]
    assert list(backend.load_events(store, "run-9")) == []


def test_reading_where_nothing_is_creates_nothing(backend: Backend, store: Path) -> None:
    runs = backend.load_runs(store)
    assert runs.empty
    assert runs.index.name == "run"
    assert_frame_equal(backend.load_steps(store, "x"), local.load_steps(store, "x"))
    assert list(backend.load_events(store, "x")) == []
    assert backend.load_tails(store, "x", ["training/batch/Gloss"], 0.1) == {}
    assert backend.load_last_values(store, "x") == {}
    assert not store.exists()


def test_a_killed_process_loses_nothing_that_was_written(
    backend: Backend, name: str, store: Path
) -> None:
    code = """
import os, sys
from pathlib import Path
from tracking.backends import load_backend
from tracking.events import Fields, Metrics
from tracking.tracker import Run

tracker = load_backend(sys.argv[1]).open_tracker(Run("killed", "killed", 1), Path(sys.argv[2]))
tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
for step in range(1, 4):
    tracker.write(Metrics([step], [step], {"training/batch/Gloss": [step / 7]}))
os.kill(os.getpid(), 9)
"""
    assert run_python(code, name, str(store)).returncode == -9
    assert backend.load_runs(store).loc["killed", "config/seed"] == 1
    steps = backend.load_steps(store, "killed")
    assert list(steps["training/batch/Gloss"]) == [1 / 7, 2 / 7, 3 / 7]


def test_importing_the_backend_imports_no_sdk(name: str) -> None:
    code = f"""
import sys
from tracking.backends import load_backend
load_backend(sys.argv[1])
print(*{{"torch", "numpy", *{SDKS[name]}}} & set(sys.modules))
"""
    result = run_python(code, name)
    assert (result.stdout, result.stderr) == ("\n", "")


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
