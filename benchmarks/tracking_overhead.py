"""What tracking costs a training, measured within one run.

A recipe trains once for each set of trackers, with MLflow's server up or down. Blocks of steps
alternate: the events of one block are tracked, those of the next are dropped. The first steps of
a block are not timed, so that work left over on the remote trackers' threads is not counted
against the wrong side. A pair of neighbouring blocks gives a ratio; the median of the ratios is
printed with its interquartile range.

The images are random, because a step takes the same time on them.

    python benchmarks/tracking_overhead.py [--pairs 6] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from machine import describe_machine

from dcgan.config.loading import load_config, parse_override
from dcgan.profiling.step_timing import random_images
from dcgan.training.checkpoint import save_checkpoint
from dcgan.training.loop import train
from tracking.backends import load_backend
from tracking.backends.local import read_events
from tracking.clock import now_ms
from tracking.events import Event, Fields
from tracking.fanout import FanOut
from tracking.store import create_run

RECIPES = ("digits", "mnist-ablation")
DEAD_SERVER = "http://127.0.0.1:9"
CASES: dict[str, tuple[str, ...]] = {
    "local": (),
    "local + MLflow + Neptune + TensorBoard": ("mlflow", "neptune", "tensorboard"),
    "local + MLflow, its server dead": ("mlflow",),
}
SETTLING_STEPS = 100
TIMED_STEPS = 200
BLOCK = SETTLING_STEPS + TIMED_STEPS


def measure(recipe: str, remotes: tuple[str, ...], pairs: int, folder: Path) -> dict[str, float]:
    """Measure one recipe with one set of trackers.

    Args:
        recipe: Name of the recipe.
        remotes: Backends besides the journal.
        pairs: Number of pairs of blocks.
        folder: The store.

    Returns:
        Milliseconds per step, untracked and tracked, and the median and the quartiles of the
        pairs' ratios.
    """
    settings = ("training.epochs=100000", "images.every_steps=200")
    config = load_config(recipe, [parse_override(setting) for setting in settings])
    pixels = random_images(config, 5_000)
    run, run_folder = create_run(folder, "overhead", None, now_ms())
    tracker = FanOut(
        load_backend("local").open_tracker(run, folder),
        {name: partial(load_backend(name).open_tracker, run, folder) for name in remotes},
        partial(read_events, run_folder),
        lambda warning: print(f"  ({warning})"),
    )
    tracker.write(Fields({"sys/status": "running"}))
    time.sleep(15 if remotes else 0)  # importing the SDKs is not part of a step
    step_ends: list[float] = []

    def is_tracked() -> bool:
        return len(step_ends) // BLOCK % 2 == 1

    def emit(event: Event) -> None:
        if is_tracked():
            tracker.write(event)

    def stopping() -> bool:
        step_ends.append(time.perf_counter())
        return len(step_ends) > BLOCK * (2 * pairs + 1)

    save = partial(save_checkpoint, run_folder / "checkpoints")
    train(config, pixels, device=torch.device("cpu"), emit=emit, save=save, stopping=stopping)
    tracker.close("interrupted")
    seconds = [
        (step_ends[end] - step_ends[end - TIMED_STEPS]) / TIMED_STEPS
        for end in range(BLOCK * 2 - 1, len(step_ends), BLOCK)
    ]
    tracked, untracked = seconds[0::2], seconds[1::2]
    ratios = [first / second for first, second in zip(tracked, untracked, strict=False)]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "untracked_ms": statistics.median(untracked) * 1e3,
        "tracked_ms": statistics.median(tracked) * 1e3,
        "ratio": statistics.median(ratios),
        "ratio_lower_quartile": quartiles[0],
        "ratio_upper_quartile": quartiles[2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    pairs, machine = options.pairs, describe_machine()
    results: dict[str, object] = {"machine": machine, "pairs": pairs}
    print(f"{machine}; {pairs} pairs of blocks of {TIMED_STEPS} steps")
    print("| recipe | tracked to | untracked ms/step | tracked ms/step | ratio | middle half |")
    print("|---|---|---|---|---|---|")
    for recipe, (name, remotes) in itertools.product(RECIPES, CASES.items()):
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if "dead" in name:
            os.environ["MLFLOW_TRACKING_URI"] = DEAD_SERVER
        with tempfile.TemporaryDirectory() as folder:
            result = measure(recipe, remotes, pairs, Path(folder))
        results[f"{recipe}: {name}"] = result
        print(
            f"| `{recipe}` | {name} | {result['untracked_ms']:.2f} | {result['tracked_ms']:.2f} "
            f"| {result['ratio']:.3f} "
            f"| {result['ratio_lower_quartile']:.3f} to {result['ratio_upper_quartile']:.3f} |",
            flush=True,
        )
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
