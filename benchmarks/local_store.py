"""How fast the local store is at scale: 1,000 runs of 10,000 steps, written by the journal.

1. `dcgan runs` as a process, from start to exit, with and without --where and --sort.
2. Reading the metrics of one run as a table.
3. Reading the final values of all runs as a table, against the same from the whole journals.

    python benchmarks/local_store.py [--runs 1000] [--steps 10000] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from machine import describe_machine

from tracking.backends import local
from tracking.events import BATCH, Fields, Metrics
from tracking.tracker import Run

REPETITIONS = 5
METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")


def write_store(store: Path, runs: int, steps: int) -> None:
    """Write one run with the journal; the others are copies with their own configuration.

    Args:
        store: Folder of the store.
        runs: Number of runs.
        steps: Steps per run.
    """
    first_run = Run("digits-000000", "first", 1_700_000_000_000)
    journal = local.open_tracker(first_run, store)
    for first in range(1, steps, 50):
        block = list(range(first, min(first + 50, steps + 1)))
        times = [1_700_000_000_000 + step for step in block]
        values = {
            f"{BATCH}/{name}": [math.sin(step) + number for step in block]
            for number, name in enumerate(METRICS)
        }
        journal.write(Metrics(block, times, values))
    journal.close("finished")
    for number in range(1, runs):
        folder = store / f"digits-{number:06d}"
        shutil.copytree(store / first_run.id, folder)
    for number in range(runs):
        identifier = f"digits-{number:06d}"
        config = {f"config/{section}/key{key}": key for section in range(8) for key in range(8)}
        fields = {
            **config,
            "config/optimizer/lr": 10 ** (-5 + number % 5),
            "config/training/epochs": 5,
            "sys/id": identifier,
            "sys/name": identifier,
            "sys/recipe": "digits",
            "sys/status": "finished",
            "sys/created": f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}.000Z",
        }
        run = local.open_tracker(Run(identifier, identifier, 1_700_000_000_000), store / "new")
        run.write(Fields(fields))
        run.close("finished")
        for name in (local.RUN_FILE, local.CONFIG_FILE):
            shutil.move(store / "new" / identifier / name, store / identifier / name)
    shutil.rmtree(store / "new")


def median_seconds(action: Callable[[], object]) -> float:
    """The median time of an action over `REPETITIONS`, in seconds."""
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "runs"
        write_store(store, options.runs, options.steps)
        folders = local.run_folders(store)

        def command(*arguments: str) -> Callable[[], object]:
            line = [sys.executable, "-m", "dcgan", "runs", "--store", str(store), *arguments]
            return lambda: subprocess.run(line, check=True, capture_output=True)

        def final_values() -> pd.DataFrame:
            return pd.DataFrame([local.last_values(folder) for folder in folders])

        sampled = folders[:20]  # reading all whole journals would take minutes

        def from_whole_journals() -> pd.DataFrame:
            return pd.concat([local.read_steps(folder).tail(1) for folder in sampled])

        expression = 'optimizer.lr < 1e-3 and status == "finished"'
        seconds = {
            "dcgan runs": median_seconds(command()),
            "dcgan runs --where ... --sort Gloss": median_seconds(
                command("--where", expression, "--sort", "Gloss")
            ),
            "one run's metrics": median_seconds(lambda: local.read_steps(folders[-1])),
            "final values of all runs": median_seconds(final_values),
            "final values from the whole journals": median_seconds(from_whole_journals)
            * len(folders)
            / len(sampled),
        }
    result = {
        "runs": options.runs,
        "steps": options.steps,
        "machine": machine,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "ratio of final values": round(
            seconds["final values from the whole journals"] / seconds["final values of all runs"], 1
        ),
    }
    print(f"{machine}; {options.runs:,} runs of {options.steps:,} steps")
    print("| | s |")
    print("|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.3f} |")
    print(
        f"\nThe final values are read {result['ratio of final values']} times as fast as from "
        "the whole journals."
    )
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
