"""Loading many long runs for a comparison, against MLflow's client loading the same tables.

200 journals of 20,000 steps of 5 metrics: 20 million points, a gigabyte. MLflow's store has fewer
and shorter runs, because a full one takes an hour to write; its times are scaled by the number of
points.

    python benchmarks/comparison.py [--runs 200] [--steps 20000] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from machine import describe_machine

from analysis import load
from analysis.comparison.compare import compare
from tracking.backends import load_backend, local
from tracking.backends.mlflow import DEFAULT_EXPERIMENT, tracking_uri
from tracking.events import BATCH, Event, Fields, Metrics
from tracking.fields import to_iso8601
from tracking.tracker import Run

METRICS = tuple(f"{BATCH}/{name}" for name in ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2"))
CREATED = 1_700_000_000_000
MLFLOW_RUNS, MLFLOW_STEPS = 4, 2_000
REPETITIONS = 3
LIMIT_SECONDS, LIMIT_BYTES, LIMIT_RATIO = 3.0, 2**30, 100
"""The most that loading and comparing may take, and how much faster than MLflow it must be."""


@dataclass(frozen=True)
class Cost:
    """What an action costs.

    Attributes:
        seconds: The fastest of `REPETITIONS`.
        peak: Bytes of memory, including the interpreter's.
    """

    seconds: float
    peak: int


def fields(number: int) -> Fields:
    """The fields of a run; runs alternate between two arms."""
    return Fields(
        {
            "config/init/scheme": ("dcgan", "default")[number % 2],
            "config/optimizer/lr": 2e-4,
            "config/seed": number // 2,
            "sys/seed": number // 2,
            "sys/status": "running",
            "sys/created": to_iso8601(CREATED + number),
        }
    )


def events(number: int, steps: int) -> list[Event]:
    """The fields of a run and random metrics in blocks of 50 steps."""
    rng = random.Random(number)
    blocks: list[Event] = []
    for first in range(1, steps + 1, 50):
        block = list(range(first, min(first + 50, steps + 1)))
        values = {path: [rng.uniform(0, 2) for _ in block] for path in METRICS}
        blocks.append(Metrics(block, [CREATED + step for step in block], values))
    return [fields(number), *blocks]


def write(backend: str, store: Path, runs: int, steps: int) -> None:
    """Write runs into a store.

    Args:
        backend: Name of the backend.
        store: Its folder.
        runs: Number of runs.
        steps: Steps per run.
    """
    for number in range(runs):
        run = Run(f"run-{number:06d}", f"run {number}", CREATED + number)
        tracker = load_backend(backend).open_tracker(run, store)
        for event in events(number, steps):
            tracker.write(event)
        tracker.close("finished")


def write_journals(store: Path, runs: int, steps: int) -> None:
    """Write two runs with the journal; the others get copies of their metrics.

    Args:
        store: Folder of the journals.
        runs: Number of runs.
        steps: Steps per run.
    """
    write("local", store, 2, steps)
    for number in range(2, runs):
        run = Run(f"run-{number:06d}", f"run {number}", CREATED + number)
        journal = local.open_tracker(run, store)
        journal.write(fields(number))
        journal.close("finished")
        for name in (local.METRICS_FILE, local.LAST_FILE):
            shutil.copyfile(store / f"run-{number % 2:06d}" / name, store / run.id / name)


def final_means(store: Path) -> None:
    means = load(store).final_means(METRICS)
    assert means.notna().all(axis=None)


def final_means_of_half_the_runs(store: Path) -> None:
    runs = load(store)
    runs.final_means(METRICS, ids=runs.table.index[::2])


def comparison(store: Path) -> None:
    assert len(compare(load(store)).labels) == 2


def all_steps(store: Path) -> None:
    tables = load(store).all_steps()
    assert all(len(table.columns) == 3 + len(METRICS) for table in tables.values())


def load_with_mlflow(store: Path) -> None:
    """Load the step tables as a user of MLflow would."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(store))
    experiment = client.get_experiment_by_name(DEFAULT_EXPERIMENT)
    for run in client.search_runs([experiment.experiment_id]):
        points = [
            (path, point.step, point.timestamp, point.value)
            for path in METRICS
            for point in client.get_metric_history(run.info.run_id, path)
        ]
        frame = pd.DataFrame(points, columns=["path", "step", "time", "value"])
        assert len(frame.pivot(index="step", columns="path", values="value")) == MLFLOW_STEPS


HALF, ALL_STEPS = "final means of half the runs", "whole steps"
ACTIONS: dict[str, Callable[[Path], None]] = {
    "final means": final_means,
    HALF: final_means_of_half_the_runs,
    "comparison of two arms": comparison,
    ALL_STEPS: all_steps,
}


def measure(action: Callable[[Path], None], store: Path) -> Cost:
    """The cost of an action; its memory is this process's peak so far."""
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        action(store)
        seconds.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return Cost(round(min(seconds), 4), 1024 * int(peak.split()[1]))


def measure_in_process(action: Callable[[Path], None], store: Path) -> Cost:
    """`measure` in a fresh process, so that the peak of its memory is the action's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, action, store).result()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    points = options.runs * options.steps * len(METRICS)
    mlflow_points = MLFLOW_RUNS * MLFLOW_STEPS * len(METRICS)
    with tempfile.TemporaryDirectory() as temporary:
        journals, mlflow = Path(temporary) / "journals", Path(temporary) / "mlflow"
        write_journals(journals, options.runs, options.steps)
        write("mlflow", mlflow, MLFLOW_RUNS, MLFLOW_STEPS)
        costs = {name: measure_in_process(action, journals) for name, action in ACTIONS.items()}
        client = measure_in_process(load_with_mlflow, mlflow)
    scaled = client.seconds / mlflow_points * points
    print(f"{machine}; {options.runs} runs of {options.steps:,} steps")
    print("| loading and | s | peak memory, MB | MLflow's client, scaled: times as long |")
    print("|---|---|---|---|")
    for name, cost in costs.items():
        ratio = f"{scaled / cost.seconds:.0f}" if name != HALF else ""
        print(f"| {name} | {cost.seconds:.2f} | {cost.peak / 1e6:.0f} | {ratio} |")
    limited = [cost for name, cost in costs.items() if name != ALL_STEPS]
    within = all(each.seconds < LIMIT_SECONDS and each.peak < LIMIT_BYTES for each in limited)
    ratio_to_mlflow = min(scaled / cost.seconds for name, cost in costs.items() if name != HALF)
    print(
        f"{'Within' if within else 'NOT within'} {LIMIT_SECONDS:g} s and {LIMIT_BYTES >> 30} GiB "
        f"except for the whole steps; "
        f"{'at least' if ratio_to_mlflow >= LIMIT_RATIO else 'NOT'} "
        f"{LIMIT_RATIO} times as fast as MLflow's client."
    )
    result = {
        "runs": options.runs,
        "steps": options.steps,
        "metrics": len(METRICS),
        "machine": machine,
        "costs": {name: asdict(cost) for name, cost in costs.items()},
        "mlflow": {"points": mlflow_points, **asdict(client), "scaled_seconds": round(scaled, 1)},
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
