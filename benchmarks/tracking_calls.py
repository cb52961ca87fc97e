"""What tracking a step costs the training thread, and how fast a journal is replayed into MLflow.

1. Time on the calling thread per step of five scalars: this project's fan-out to the journal,
   MLflow and Neptune, in blocks of 50 steps as the engine emits them; `mlflow.log_metrics`,
   one call per step, to an SQLite file; five `append` calls of Neptune's client, offline.
   Steps come every 5 ms, and the three sides alternate.
2. Values per second into MLflow's SQLite file: the replay of a journal, as `dcgan sync` does it,
   against `mlflow.log_metrics`, one call per step.

    python benchmarks/tracking_calls.py [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from machine import describe_machine

from tracking.backends import load_backend, local
from tracking.events import BATCH, Metrics
from tracking.fanout import FanOut
from tracking.tracker import Run
from tracking.transfer import send_run

NAMES = tuple(f"{BATCH}/{name}" for name in ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2"))
BLOCK, ROUNDS, PACE = 50, 8, 0.005
REPLAYED_STEPS, DIRECT_STEPS = 10_000, 300
CREATED = 1_700_000_000_000


def values_at(step: int) -> dict[str, float]:
    """The five scalars of a step."""
    return {name: math.sin(step) + number for number, name in enumerate(NAMES)}


def block(first: int) -> Metrics:
    """The event of `BLOCK` steps from `first` on."""
    steps = list(range(first, first + BLOCK))
    return Metrics(
        steps,
        [CREATED + step for step in steps],
        {name: [values_at(step)[name] for step in steps] for name in NAMES},
    )


def seconds_per_step(track: Callable[[int], None], first: int) -> float:
    """Mean time that `track` takes, over a block of steps at the pace of a training."""
    total = 0.0
    for step in range(first, first + BLOCK):
        start = time.perf_counter()
        track(step)
        total += time.perf_counter() - start
        time.sleep(PACE)
    return total / BLOCK


def measure_calls(folder: Path) -> dict[str, float]:
    """Microseconds per step of each side, the median over the rounds."""
    import mlflow
    import neptune

    mlflow.set_tracking_uri(f"sqlite:///{folder}/direct.db")
    mlflow.start_run()
    os.environ["NEPTUNE_DATA_DIRECTORY"] = str(folder / "direct-neptune")
    offline = neptune.init_run(
        mode="offline",
        capture_stdout=False,
        capture_stderr=False,
        capture_hardware_metrics=False,
        git_ref=False,
        source_files=[],
    )
    run = Run("digits-abc234", "calls", CREATED)
    store = folder / "store"
    fan_out = FanOut(
        local.open_tracker(run, store),
        {
            name: partial(load_backend(name).open_tracker, run, store)
            for name in ("mlflow", "neptune")
        },
        partial(local.read_events, store / run.id),
        print,
    )

    def with_fan_out(step: int) -> None:
        if step % BLOCK == 0:
            fan_out.write(block(step + 1))

    def with_mlflow(step: int) -> None:
        mlflow.log_metrics(values_at(step), step=step)

    def with_neptune(step: int) -> None:
        for name, value in values_at(step).items():
            offline[name].append(value, step=step)

    sides = {
        "fan-out": with_fan_out,
        "mlflow.log_metrics": with_mlflow,
        "neptune append": with_neptune,
    }
    microseconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(ROUNDS + 1):
        for name, track in sides.items():
            seconds = seconds_per_step(track, number * BLOCK)
            if number:  # the first round opens files and connections
                microseconds[name].append(seconds * 1e6)
    fan_out.close("finished")
    mlflow.end_run()
    offline.stop()
    return {name: statistics.median(values) for name, values in microseconds.items()}


def measure_replay(folder: Path) -> dict[str, float]:
    """Values per second, of each side into its own SQLite file."""
    import mlflow

    run, store = Run("digits-replay", "replay", CREATED), folder / "replayed"
    journal = local.open_tracker(run, store)
    for first in range(1, REPLAYED_STEPS, BLOCK):
        journal.write(block(first))
    journal.close("finished")
    start = time.perf_counter()
    count = send_run(store / run.id, "mlflow")
    replayed = count.values / (time.perf_counter() - start)

    mlflow.set_tracking_uri(f"sqlite:///{folder}/calls.db")
    with mlflow.start_run():
        start = time.perf_counter()
        for step in range(DIRECT_STEPS):
            mlflow.log_metrics(values_at(step), step=step)
        direct = DIRECT_STEPS * len(NAMES) / (time.perf_counter() - start)
    return {"replay": replayed, "mlflow.log_metrics": direct}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    for variable in ("MLFLOW_TRACKING_URI", "NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT"):
        os.environ.pop(variable, None)
    with tempfile.TemporaryDirectory() as temporary:
        calls = measure_calls(Path(temporary) / "calls")
        replay = measure_replay(Path(temporary) / "replay")
    result = {
        "machine": machine,
        "microseconds_per_step": {name: round(value, 1) for name, value in calls.items()},
        "mlflow_ratio": round(calls["mlflow.log_metrics"] / calls["fan-out"]),
        "neptune_ratio": round(calls["neptune append"] / calls["fan-out"], 1),
        "values_per_second_into_mlflow": {name: round(value) for name, value in replay.items()},
        "replay_ratio": round(replay["replay"] / replay["mlflow.log_metrics"], 1),
    }
    print(machine)
    print("| a step of five scalars by | us on the calling thread |")
    print("|---|---|")
    for name, value in calls.items():
        print(f"| {name} | {value:.1f} |")
    print("\n| into MLflow by | values per second |")
    print("|---|---|")
    for name, value in replay.items():
        print(f"| {name} | {value:,.0f} |")
    print(
        f"\nA step costs the training thread {calls['fan-out']:.0f} us with all trackers on: "
        f"{result['mlflow_ratio']} times less than mlflow.log_metrics, "
        f"{result['neptune_ratio']} times less than Neptune's appends.\n"
        f"Replay is {result['replay_ratio']} times as fast as one call per step."
    )
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
