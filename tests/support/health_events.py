"""The events of runs with chosen numbers, by which the rules of health are tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from diagnosis.image_grids import Pixels
from tracking.backends.local import open_tracker
from tracking.events import BATCH, FIXED_NOISE, NETWORKS, REAL, Event, Fields, Image, Metrics
from tracking.fields import to_iso8601
from tracking.tracker import Run, Status

SIZE, SIDE, PAD = 16, 4, 2
FIELDS = {
    "config/loss/name": "bce",
    "config/dataset/image_size": SIZE,
    "config/dataset/size": 1_000,
    "config/dataset/std": [0.5],
    "config/dataset/mean": [0.0],
    "config/dataset/duplicates": 0,
    "config/images/count": SIDE * SIDE,
}
Course = Callable[[int], float]


def blobs(seed: int, count: int = SIDE * SIDE) -> Pixels:
    """Smooth images of one bright spot each, uint8 (N, H, W)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    centres = rng.uniform(3, SIZE - 3, (count, 2))
    return np.stack(
        [np.uint8(255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12)) for y, x in centres]
    )


def noise(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (SIDE * SIDE, SIZE, SIZE), dtype=np.uint8)


def grid(images: Pixels) -> Pixels:
    cell = SIZE + PAD
    picture = np.zeros((SIDE * cell + PAD, SIDE * cell + PAD), np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, SIDE)
        top, left = PAD + row * cell, PAD + column * cell
        picture[top : top + SIZE, left : left + SIZE] = image
    return picture[:, :, None]


def run(
    steps: int,
    grids: dict[int, Pixels],
    real: Pixels | None = None,
    **courses: Course,
) -> list[Event]:
    """The events of a run, in the order in which an engine emits them."""
    usual: dict[str, Course] = {
        "Gloss": lambda step: 1.5,
        "Dloss": lambda step: 1.0,
        "D_x": lambda step: 0.7,
        "D_G_z1": lambda step: 0.3,
        "D_G_z2": lambda step: 0.25,
    }
    norms: dict[str, Course] = {
        name: courses.pop(name, lambda step: 0.001)
        for name in ("G_update_ratio", "D_update_ratio", "G_gradient_norm")
    }
    batch = usual | courses
    real_images = blobs(0) if real is None else real
    events: list[Event] = [Image(REAL, 0, 0, grid(real_images))]
    events += [Image(FIXED_NOISE, 0, 0, grid(grids[0]))] if 0 in grids else []
    for first in range(1, steps + 1, 50):
        block = list(range(first, min(first + 49, steps) + 1))
        measured = [step for step in block if step % 25 == 0]
        for folder, at, courses_of in ((NETWORKS, measured, norms), (BATCH, block, batch)):
            values = {f"{folder}/{name}": list(map(f, at)) for name, f in courses_of.items()}
            events += [Metrics(at, [0] * len(at), values)] if at else []
        if block[-1] in grids:
            events.append(Image(FIXED_NOISE, block[-1], 0, grid(grids[block[-1]])))
    return events


HEALTHY = {0: noise(1), 200: blobs(2), 400: blobs(3)}
"""Grids of a G that learns."""


def write_health_journal(
    store: Path, identifier: str, events: list[Event], status: Status = "finished"
) -> Path:
    """The journal of a run with these events; returns its folder."""
    tracker = open_tracker(Run(identifier, identifier, 1_000), store)
    opening = {"sys/recipe": "digits", "sys/status": status, "sys/created": to_iso8601(1_000)}
    tracker.write(Fields({**FIELDS, **opening}))
    for event in events:
        tracker.write(event)
    tracker.close(status)
    return store / identifier
