"""The events of a small training, and whether a store has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.support.remotes import Remote
from tracking.backends.local import read_events
from tracking.events import (
    DISCRIMINATOR_ARCH,
    FIXED_NOISE,
    GENERATOR_ARCH,
    Event,
    Fields,
    Image,
    Metrics,
    Text,
)
from tracking.fanout import FanOut
from tracking.tracker import Run

CREATED = 1_700_000_000_123
RUN = Run("digits-abc234", "a run", CREATED)
GLOSS = "training/batch/Gloss"
DLOSS = "training/batch/Dloss"
EPOCH_GLOSS = "training/epoch/Gloss"


def block(first: int, last: int) -> Metrics:
    """Two series of one block, `last` included."""
    steps = range(first, last + 1)
    values = {GLOSS: [step / 7 for step in steps], DLOSS: [1 / step for step in steps]}
    return Metrics(list(steps), [CREATED + step for step in steps], values)


def picture(step: int) -> Image:
    pixels = np.random.default_rng(step).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image(FIXED_NOISE, step, CREATED + step, pixels)


def training(blocks: int, first: int = 1) -> list[Event]:
    """A small training: blocks of three steps, some pictures, the means of some epochs."""
    events: list[Event] = []
    for number in range(first, first + blocks):
        step = 3 * number
        events.append(block(step - 2, step))
        if number % 5 == 0:
            events.append(Metrics([step], [CREATED + step], {EPOCH_GLOSS: [step / 7]}))
            events.append(Fields({"sys/epoch": number // 5}))
        if number % 10 == 0:
            events.append(picture(step))
    return events


def opening() -> list[Event]:
    return [
        Fields({"sys/status": "running", "config/seed": 1}),
        Text(GENERATOR_ARCH, "Generator()\n"),
        Text(DISCRIMINATOR_ARCH, "Discriminator()\n"),
    ]


def write_all(tracker: FanOut, events: Sequence[Event]) -> None:
    for event in events:
        tracker.write(event)


def assert_whole(remote: Remote, blocks: int) -> None:
    """The remote got the opening and `blocks` of training: all of it, once, in order."""
    assert remote.steps(GLOSS) == remote.steps(DLOSS) == list(range(1, 3 * blocks + 1))
    assert remote.steps(EPOCH_GLOSS) == list(range(15, 3 * blocks + 1, 15))
    assert sorted(remote.images()) == list(range(30, 3 * blocks + 1, 30))
    assert sorted(remote.texts()) == sorted([GENERATOR_ARCH, DISCRIMINATOR_ARCH])
    assert remote.fields()["config/seed"] == 1
    assert remote.fields()["sys/epoch"] == blocks // 5


def assert_journal_whole(folder: Path, blocks: int) -> None:
    replayed = Remote()
    for event in read_events(folder):
        replayed.write(event)
    assert_whole(replayed, blocks)
