"""A run with every sort of value in it, and how to compare it with the journal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pandas.testing import assert_frame_equal

from tracking.backends import Backend, local
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
from tracking.tracker import Run, Status, Tracker

CREATED = 1_700_000_000_123
STEPS = 1_500
RUN = Run("digits-abc234", "a first run", CREATED)

VALUES: dict[str, Value] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative": -1,
    "big": 2**80,
    "float": 2e-4,
    "whole_float": 1.0,
    "tiny": 5e-324,
    "empty": "",
    "space": "  both ends  ",
    "newlines": "one\ntwo\r\nthree\n",
    "tab": "\ta",
    "unicode": "naïve, 星, 🌌",
    "quotes": "'single' \"double\" `back`",
    "backslash": "C:\\data\\n",
    "looks_true": "true",
    "looks_number": "1e-3",
    "looks_null": "null",
    "looks_list": "[1, 2]",
    "looks_quoted": '"quoted"',
    "percent": "100% {sure} %s",
    "list": [1, 2.5, "three", None, True],
    "empty_list": [],
    "strings": ["a, b", 'c "d"', ""],
    "limit_less_one": "x" * 5_999,
    "neptune_limit": "x" * 16_384,
    "param_limit": "x" * 6_000,
    "tag_limit": "x" * 8_000,
    "long": "a line that ends in two characters\r\n" * 500,
    "long_list": list(range(5_000)),
}
FIELDS = Fields(
    {f"config/values/{name}": value for name, value in VALUES.items()}
    | {f"sys/values/{name}": value for name, value in VALUES.items()}
    | {f"config/many/{index}": index for index in range(210)}
    | {f"sys/many/{index}": index for index in range(210)}
    | {
        "health/holds": ["collapsed", "not_learning"],
        "health/collapsed/since": 250,
        "health/collapsed/evidence": "at step 250 its images vary 0.05 times as much as real ones",
        "config/dataset/name": "digits",
        "config/dataset/path": "/data/digits",
        "config/dataset/size": 1797,
        "config/dataset/transforms": "Resize(32)",
        "config/dataset/fingerprint": "0123456789abcdef" * 4,
        "sys/status": "running",
        "sys/git/commit": "3f9c2a1",
        "sys/git/branch": "main",
        "sys/command": "dcgan train digits",
        "sys/group": "rates",
        "sys/tags": ["baseline", "long run"],
    }
)
NON_FINITE = {7: math.nan, 8: math.inf, 9: -math.inf}


def block(first: int, last: int) -> Metrics:
    """Two series of one block, `last` included."""
    steps = range(first, last + 1)
    return Metrics(
        steps=list(steps),
        times=[CREATED + 10 * step for step in steps],
        values={
            "training/batch/Gloss": [NON_FINITE.get(step, math.sin(step)) for step in steps],
            "training/batch/Dloss": [1 / step for step in steps],
        },
    )


def epoch_means(step: int) -> Metrics:
    """At the step of the epoch's last batch, a moment later."""
    return Metrics([step], [CREATED + 10 * step + 5], {"training/epoch/Gloss": [1 / 3]})


def picture(path: str, step: int, channels: int = 3) -> Image:
    """An image of 12 x 10 random pixels that depend only on the step.

    Args:
        path: The path of its series.
        step: The step, from which its time follows too.
        channels: 1 or 3.
    """
    pixels = np.random.default_rng(step).integers(0, 256, (12, 10, channels), dtype=np.uint8)
    return Image(path, step, CREATED + step, pixels)


def whole_run(folder: Path, steps: int = STEPS) -> list[Event]:
    """A run with every kind of event; `folder` gets the file that it logs."""
    recipe = folder / "some name.toml"
    recipe.write_text("name = 'digits'\n", encoding="utf-8")
    return [
        FIELDS,
        Text(GENERATOR_ARCH, "Generator(\n  (0): näme\n)\n"),
        File(f"{ARTIFACTS}/recipe", recipe),
        block(1, steps),
        epoch_means(1_250),
        epoch_means(steps),
        picture(FIXED_NOISE, 500),
        picture(FIXED_NOISE, 1_000),
        picture(REAL, 1, channels=1),
    ]


def write(tracker: Tracker, events: Iterable[Event], status: Status = "finished") -> None:
    """Write all events and close the run.

    Args:
        tracker: Writes the run.
        events: The events of the run.
        status: The status with which the run ends.
    """
    for event in events:
        tracker.write(event)
    tracker.close(status)


def assert_same_as_journal(
    backend: Backend, store: Path, journal: Path | None = None, ignore: str | None = None
) -> None:
    """Both tables of both stores are equal, to the types of single values.

    Args:
        backend: What reads the store.
        store: The store to compare.
        journal: The store that holds the journal; the same if omitted.
        ignore: The beginning of fields that only the journal has.
    """
    journal = journal or store
    runs, expected = backend.load_runs(store), local.load_runs(journal)
    own = [path for path in expected.columns if ignore and path.startswith(ignore)]
    expected = expected.drop(columns=own)
    assert_frame_equal(runs, expected)
    for path in expected.columns:
        assert type(runs.loc[RUN.id, path]) is type(expected.loc[RUN.id, path]), path
    assert_frame_equal(backend.load_steps(store, RUN.id), local.load_steps(journal, RUN.id))


def content(events: Iterable[Event]) -> dict[str, object]:
    """Everything in a run's events, in a form that can be compared.

    NaN is not equal to itself, so the values of metrics are compared as texts.
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
