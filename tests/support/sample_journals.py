"""Small journals with chosen numbers, as a run would have written them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracking.backends.local import open_tracker
from tracking.events import Fields, Image, Metrics
from tracking.fields import to_iso8601
from tracking.tracker import Run, Status

STEPS, EPOCHS = 40, 20
SIZE, COUNT = 8, 9
"""Pixels along a side of an image, and images in a grid."""

CONFIG: dict[str, Any] = {
    "config/name": "sample",
    "config/seed": 0,
    "config/init/scheme": "dcgan",
    "config/optimizer/lr": 2e-4,
    "config/loss/name": "bce",
    "config/training/epochs": EPOCHS,
    "config/images/count": COUNT,
    "config/dataset/name": "digits",
    "config/dataset/path": "scikit-learn",
    "config/dataset/image_size": SIZE,
    "config/dataset/channels": 1,
    "config/dataset/size": 100,
    "config/dataset/fingerprint": "sha256:00",
}


def write_journal(
    store: Path,
    identifier: str,
    *,
    seed: int,
    losses: tuple[float, float] = (1.5, 1.0),
    created: int = 1_000,
    status: Status = "finished",
    images_alike: bool = False,
    scores: tuple[float, float] | None = None,
    evaluation: Mapping[str, float] | None = None,
    evaluated_at: int = STEPS,
    fields: Mapping[str, Any] | None = None,
    metrics_left_out: tuple[str, ...] = (),
    **config: Any,
) -> Path:
    """A run of 20 epochs of 2 steps whose losses of G and D settle at `losses`.

    Args:
        store: Where the run is written.
        identifier: Of the run.
        seed: Of the run.
        losses: Of G and D.
        created: In milliseconds.
        status: How the run ended.
        images_alike: Whether all images of the last grid are the same.
        scores: D(x) and D(G(z)) in all epochs; by default they are nearest in epochs 4 to 13.
        evaluation: Values of metrics such as `lenet_fid`.
        evaluated_at: The step of the evaluation.
        fields: Further fields, by path.
        metrics_left_out: Metrics of batches that the run does not have.
        config: Keys such as `init__scheme="default"`.
    """
    configuration = CONFIG | {
        f"config/{key.replace('__', '/')}": each for key, each in config.items()
    }
    run = Run(identifier, identifier, created)
    journal = open_tracker(run, store)
    journal.write(
        Fields(
            {
                **configuration,
                **(fields or {}),
                "config/seed": seed,
                "sys/seed": seed,
                "sys/recipe": "sample",
                "sys/status": "running",
                "sys/created": to_iso8601(created),
                "sys/git/commit": "0123456789abcdef",
                "sys/git/dirty": False,
            }
        )
    )
    draws = np.random.default_rng(seed)
    values = dict(_values(losses, draws))
    if scores is not None:
        values |= {"D_x": np.full(STEPS, scores[0]), "D_G_z1": np.full(STEPS, scores[1])}
    for name in metrics_left_out:
        del values[name]
    for epoch in range(EPOCHS):
        steps = [2 * epoch + 1, 2 * epoch + 2]
        times = [created + step for step in steps]
        block = {name: each[2 * epoch : 2 * epoch + 2].tolist() for name, each in values.items()}
        journal.write(Metrics(steps, times, {f"training/batch/{k}": v for k, v in block.items()}))
        means = {f"training/epoch/{k}": [float(np.mean(v))] for k, v in block.items()}
        journal.write(
            Metrics(steps[-1:], times[-1:], {"training/epoch/number": [epoch + 1.0], **means})
        )
    if evaluation:
        journal.write(
            Metrics(
                [evaluated_at], [created], {f"evaluation/{k}": [v] for k, v in evaluation.items()}
            )
        )
    for path, step, alike in (
        ("images/real", 0, False),
        ("images/fixed_noise", 0, not images_alike),
        ("images/fixed_noise", STEPS, images_alike),
    ):
        journal.write(Image(path, step, created, _grid(draws, alike)))
    journal.close(status)
    return store / identifier


def _values(losses: tuple[float, float], draws: np.random.Generator) -> Mapping[str, Any]:
    steps = np.arange(STEPS)
    gap = 0.3 + 0.01 * np.abs(steps - 15)  # smallest in epoch 8
    return {
        "Gloss": losses[0] + 0.5 * np.exp(-steps / 4) + 0.01 * draws.normal(size=STEPS),
        "Dloss": losses[1] + 0.0001 * draws.normal(size=STEPS),
        "D_x": 0.5 + gap / 2,
        "D_G_z1": 0.5 - gap / 2,
        "D_G_z2": 0.5 - gap,
    }


def _grid(draws: np.random.Generator, alike: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Three by three images, as the engine lays them out."""
    edge = 3 * (SIZE + 2) + 2
    pixels = np.zeros((edge, edge, 1), np.uint8)
    first = draws.integers(0, 256, (SIZE, SIZE, 1), np.uint8)
    for place in range(COUNT):
        top, left = (2 + each * (SIZE + 2) for each in divmod(place, 3))
        image = first if alike else draws.integers(0, 256, (SIZE, SIZE, 1), np.uint8)
        pixels[top : top + SIZE, left : left + SIZE] = image
    return pixels
