"""How long the figures of a comparison take: 20 runs of 100,000 steps in two arms.

Each figure is drawn from tables in memory and saved as a PNG. The medians over the repetitions
are printed, of wall-clock time and of processor time, which other jobs on the machine do not
slow down. The values are random, with spikes; where single batches are drawn, no run has epochs.

    python benchmarks/plots.py [--output benchmarks/plots.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from machine import describe_machine

from analysis.comparison.arms import Arm
from analysis.plots.arm_grids import grids_by_step_and_arm
from analysis.plots.arm_losses import loss_bands
from analysis.plots.arm_scores import score_bands
from analysis.plots.figure_file import FigureFile, save
from analysis.plots.parallel_coordinates import parallel_coordinates
from analysis.plots.style import DOTS_PER_INCH
from analysis.plots.values import factor_intervals, paired_slopes
from tracking.events import BATCH, EPOCH

METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")
STEPS_PER_EPOCH = 500
LIMIT = 2.0
"""Seconds of processor time that a figure may take."""


def tables(runs: int, steps: int, epochs: bool) -> dict[str, pd.DataFrame]:
    """Random step tables by run id, as `tracking.tables.step_table` describes them.

    Args:
        runs: Number of runs.
        steps: Steps per run.
        epochs: Whether the runs also have metrics per epoch.
    """
    rng = np.random.default_rng(0)
    tables = {}
    for number in range(runs):
        step = np.arange(1, steps + 1)
        frame = pd.DataFrame({"run": f"run-{number:03d}", "step": step})
        ends = step % STEPS_PER_EPOCH == 0
        if epochs:
            frame[f"{EPOCH}/number"] = np.where(ends, step // STEPS_PER_EPOCH, np.nan)
        for metric in METRICS:
            values = np.abs(0.5 + 0.1 * rng.standard_normal(steps))
            if metric.endswith("loss"):
                values[rng.integers(0, steps, 20)] *= 8
            else:
                values = np.clip(values, 0, 1)
            frame[f"{BATCH}/{metric}"] = values
            if epochs:
                means = pd.Series(values).rolling(STEPS_PER_EPOCH).mean()
                frame[f"{EPOCH}/{metric}"] = np.where(ends, means, np.nan)
        tables[f"run-{number:03d}"] = frame
    return tables


def write_grids(folder: Path) -> dict[str, dict[int, Path]]:
    """Write five grids of 16x16 images of 64x64 pixels for each of two arms, by arm and step."""
    rng = np.random.default_rng(0)
    grids: dict[str, dict[int, Path]] = {}
    for arm in ("first", "second"):
        grids[arm] = {}
        for step in range(5):
            pixels = rng.integers(0, 256, (1_058, 1_058, 3), dtype=np.uint8)
            grids[arm][step] = folder / f"{arm}-{step}.png"
            PIL.Image.fromarray(pixels).save(grids[arm][step])
    return grids


def arms_of(ids: list[str], count: int) -> list[Arm]:
    """The runs divided over so many arms, each with a factor of its own: 0.01, 0.001, ..."""
    return [
        Arm.from_seeds(
            f"arm {number}",
            {run: seed for seed, run in enumerate(ids[number::count])},
            (10.0 ** -(2 + number),),
        )
        for number in range(count)
    ]


def seconds(draw: Callable[[], FigureFile], folder: Path, repetitions: int) -> dict[str, float]:
    """Median times of a figure.

    Args:
        draw: Draws the figure.
        folder: Where it is saved.
        repetitions: How often it is drawn.

    Returns:
        Seconds until the figure is a PNG, as `processor` and `clock` time, and processor time
        to save PNG, SVG and CSV, as `all_files_processor`.
    """
    times: dict[str, list[float]] = {"processor": [], "clock": [], "all_files_processor": []}
    for _ in range(repetitions):
        clock, processor = time.perf_counter(), time.process_time()
        figure_file = draw()
        figure_file.figure.savefig(folder / "figure.png", dpi=DOTS_PER_INCH)
        times["processor"].append(time.process_time() - processor)
        times["clock"].append(time.perf_counter() - clock)
        processor = time.process_time()
        save(figure_file, folder)
        times["all_files_processor"].append(time.process_time() - processor)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    batches = tables(options.runs, options.steps, epochs=False)
    epochs = tables(options.runs, options.steps, epochs=True)
    ids = list(batches)
    two, five, rates = arms_of(ids, 2), arms_of(ids, 5), arms_of(ids, 4)
    rng = np.random.default_rng(0)
    final = dict(zip(ids, rng.uniform(1, 2, len(ids)).tolist(), strict=True))
    many = pd.DataFrame(
        {f"key {key}": 10 ** rng.uniform(-5, -2, 1_000) for key in range(6)},
        index=[f"run-{number}" for number in range(1_000)],
    )
    values = dict(zip(many.index, rng.uniform(1, 2, 1_000).tolist(), strict=True))
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        grids = write_grids(folder)
        figures: dict[str, Callable[[], FigureFile]] = {
            "loss_bands, 2 arms, batches": lambda: loss_bands(two, batches),
            "loss_bands, 5 arms, batches": lambda: loss_bands(five, batches),
            "loss_bands, 2 arms, epochs": lambda: loss_bands(two, epochs),
            "score_bands, 2 arms, batches": lambda: score_bands(two, batches),
            "score_bands, 5 arms, batches": lambda: score_bands(five, batches),
            "score_bands, 2 arms, epochs": lambda: score_bands(two, epochs),
            "paired_slopes": lambda: paired_slopes(two, final, metric="loss"),
            "paired_slopes, 5 arms": lambda: paired_slopes(five, final, metric="loss"),
            "factor_intervals": lambda: factor_intervals(
                rates, final, metric="loss", factor="learning rate"
            ),
            "grids_by_step_and_arm": lambda: grids_by_step_and_arm(
                grids, dict.fromkeys(grids, (64, 64))
            ),
            "parallel_coordinates, 1,000 runs": lambda: parallel_coordinates(
                many, values, metric="loss", lower_is_better=True
            ),
        }
        print(f"{machine}; {options.runs} runs of {options.steps:,} steps")
        print("| figure | drawn and saved as PNG, s | by the clock | saving PNG, SVG, CSV, s |")
        print("|---|---|---|---|")
        for name, draw in figures.items():
            results[name] = seconds(draw, folder, options.repetitions)
            times = results[name]
            print(
                f"| {name} | {times['processor']:.2f} | {times['clock']:.2f} "
                f"| {times['all_files_processor']:.2f} |",
                flush=True,
            )
    slowest = max(times["processor"] for times in results.values())
    verdict = "below" if slowest < LIMIT else "NOT below"
    print(f"The slowest takes {slowest:.2f} s of processor time, {verdict} {LIMIT:g} s.")
    result = {
        "runs": options.runs,
        "steps": options.steps,
        "repetitions": options.repetitions,
        "machine": machine,
        "seconds": results,
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
