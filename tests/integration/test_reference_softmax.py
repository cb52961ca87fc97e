"""What the page of results says of mnist-softmax is what its committed journals hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from analysis import Runs, load
from analysis.comparison.compare import training_outcomes
from analysis.comparison.conclusions import failures_of_one_arm
from analysis.comparison.statistics import mean_interval
from analysis.image_files import image_files, read_picture
from tracking.events import BATCH, FIXED_NOISE

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "runs" / "reference"
STORE = REFERENCE / "mnist-softmax"
STEPS = (500, *range(1_000, 10_001, 1_000))
GAP = 10
"""Pixels between the grids of the picture."""


@pytest.fixture(scope="module")
def results() -> str:
    return re.sub(r"\s+", " ", (REFERENCE / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs() -> Runs:
    """Eight runs of which each is found by its seed."""
    found = load(STORE)
    return Runs(found.table.sort_values("config/seed"), found.sources)


@pytest.fixture(scope="module")
def failed(runs: Runs) -> list[bool]:
    return [outcome == "collapsed" for outcome in training_outcomes(runs, list(runs.table.index))]


def losses(runs: Runs) -> list[pd.DataFrame]:
    """Losses of G and D by step, of each run."""
    names = [f"{BATCH}/Gloss", f"{BATCH}/Dloss"]
    return [runs.steps(run).set_index("step")[names].dropna() for run in runs.table.index]


def test_half_of_the_seeds_fail(results: str, runs: Runs, failed: list[bool]) -> None:
    assert runs.table["config/seed"].tolist() == list(range(8))
    assert [seed for seed, each in enumerate(failed) if each] == [1, 3, 4, 6]
    assert "4 of 8 runs, 95% interval 22% to 78%" in failures_of_one_arm(
        training_outcomes(runs, list(runs.table.index))
    )
    assert "(seeds 1, 3, 4 and 6; 95% interval of the share 22% to 78%)" in results


def test_the_losses_at_the_end(results: str, runs: Runs, failed: list[bool]) -> None:
    ends = pd.DataFrame([frame.loc[9_501:].mean() for frame in losses(runs)])
    told = []
    for name in ("Gloss", "Dloss"):
        values = ends.loc[~np.array(failed), f"{BATCH}/{name}"].to_numpy()
        low, high = mean_interval(values)
        told.append(f"{values.mean():.2f} [{low:.2f}, {high:.2f}]")
    g_loss, d_loss = told
    assert f"G's loss is {g_loss} and D's {d_loss}" in results
    assert f"G {g_loss}, D {d_loss} in four of eight seeds; in the other four D wins" in results
    assert ends.loc[failed, f"{BATCH}/Dloss"].max() < 0.01, "as the page says"


def test_the_losses_by_step(results: str, runs: Runs, failed: list[bool]) -> None:
    frames = losses(runs)
    for step in STEPS:
        cells = []
        for has_failed in (False, True):
            means = pd.DataFrame(
                frame.loc[step - 499 : step].mean()
                for frame, each in zip(frames, failed, strict=True)
                if each == has_failed
            )
            for name in ("Gloss", "Dloss"):
                values = means[f"{BATCH}/{name}"]
                cells.append(f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})")
        assert f"| {step:,} | {' | '.join(cells)} |" in results


def test_where_d_wins(results: str, runs: Runs, failed: list[bool]) -> None:
    file = json.loads((STORE / "first_steps.json").read_text(encoding="utf-8"))
    first_steps = {name: list(values.values()) for name, values in file.items() if name != "what"}
    every = [each for values in first_steps.values() for each in values]
    assert not any(0.55 < each["end"] < 0.99 for each in every)
    wins = {name: [each["end"] < 0.8 for each in of] for name, of in first_steps.items()}
    assert failed == wins["sweep"]
    for frame, each in zip(losses(runs), first_steps["sweep"], strict=True):
        kept = frame.loc[301:320, f"{BATCH}/Dloss"]  # of every ninth step
        assert (kept.mean() < 0.8) == (each["end"] < 0.8)
    assert sorted(file["float32"]) == sorted(file["tf32_imitated"])
    assert wins["float32"] == wins["tf32_imitated"], "the same seeds fail"
    rows = {
        "TF32 | H200, 10,000 steps": "sweep",
        "TF32 | H200, stopped after some 6,000 steps": "tf32_h200",
        "TF32, imitated | CPU, 320 steps": "tf32_imitated",
        "float32 | CPU, 320 steps, the same random numbers": "float32",
        "float32 | CPU, 350 or 500 steps": "float32_engine",
        "float32 | CPU, 10,000 steps (`mnist-softmax-n629y9`)": "mnist-softmax-n629y9",
    }
    assert set(rows.values()) == set(wins)
    for row, name in rows.items():
        assert f"| {row} | {sum(wins[name])} of {len(wins[name])} |" in results
    in_tf32, in_float32 = (
        [each for row, name in rows.items() if row.startswith(start) for each in wins[name]]
        for start in ("TF32", "float32")
    )
    recovered = sum(each["lowest"] < 0.6 and each["end"] > 0.8 for each in every)
    assert (
        f"D wins in {sum(in_tf32)} of {len(in_tf32)} trainings in TF32 and in {sum(in_float32)} of "
        f"{len(in_float32)} in float32. In {recovered} others D's loss falls below 0.6" in results
    )


def test_failed_generators_draw_black_and_white(runs: Runs, failed: list[bool]) -> None:
    """The page says that their pixels are where tanh has no gradient."""
    for run, has_failed in zip(runs.table.index, failed, strict=True):
        pixels = read_picture(image_files(STORE / run, FIXED_NOISE)[10_000])
        extreme = ((pixels < 3) | (pixels > 252)).mean()
        assert (extreme > 0.98) == has_failed
        assert extreme > 0.8, "real digits are mostly black and white too"


def test_the_picture_shows_the_last_grids(runs: Runs) -> None:
    grids = [
        read_picture(image_files(STORE / run, FIXED_NOISE)[10_000]) for run in runs.table.index
    ]
    with PIL.Image.open(ROOT / "docs" / "mnist-softmax.png") as picture:
        shown = np.asarray(picture.convert("L"))
    side = len(grids[0])
    for seed, grid in enumerate(grids):
        top, left = (side + GAP) * (seed // 4), (side + GAP) * (seed % 4)
        place = shown[top : top + side, left : left + side]
        assert np.array_equal(place, grid if grid.ndim == 2 else grid[..., 0])
