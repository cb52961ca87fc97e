"""Forks runs that write to one store at once, each to its journal and to MLflow's sqlite file.

Arguments: the store, and the number of runs.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracing.client  # noqa: F401 (imported once, before the runs are forked)
import numpy as np
import PIL.Image

from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.events import FIXED_NOISE, Fields, Image, Metrics
from tracking.fanout import FanOut
from tracking.store import create_run

STEPS = 500


def write_run(store: Path, number: int) -> None:
    run, folder = create_run(store, "digits", f"run {number}", 1_700_000_000_000 + number)
    tracker = FanOut(
        local.open_tracker(run, store),
        {"mlflow": partial(backend.open_tracker, run, store)},
        partial(local.read_events, folder),
        lambda warning: print(warning, file=sys.stderr),
    )
    tracker.write(Fields({"config/seed": number, "sys/status": "running"}))
    for first in range(1, STEPS, 50):
        steps = list(range(first, first + 50))
        values = {"training/batch/Gloss": [number + 1 / step for step in steps]}
        tracker.write(Metrics(steps, [1_700_000_000_000 + step for step in steps], values))
        time.sleep(0.02)
    pixels = np.full((4, 4, 3), number, np.uint8)
    tracker.write(Image(FIXED_NOISE, STEPS, 1_700_000_000_000, pixels))
    tracker.close("finished")


def main() -> None:
    store = Path(sys.argv[1])
    PIL.Image.init()
    children = []
    for number in range(int(sys.argv[2])):
        child = os.fork()
        if child == 0:
            write_run(store, number)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main()
