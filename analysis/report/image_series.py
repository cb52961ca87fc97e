"""Image grids of arms during training, limited to a page's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import PIL.Image

from analysis.comparison.arms import Arm
from analysis.image_files import image_files
from analysis.plots.arm_grids import SIDE, common_steps, grids_by_step_and_arm
from analysis.report.content import Choice, Grids, Panel
from analysis.report.metadata_sections import distinct
from analysis.report.moving_pictures import moving_training
from analysis.runs import Runs
from diagnosis.image_grids import IMAGE_SIZE, image_sides
from tracking.events import CONFIG, FIXED_NOISE, GRID_PADDING, REAL

BUDGET = 5_000_000
"""The maximum size of all grids of a page together, in bytes."""

MAX_STEPS, MAX_SEEDS, MAX_ARMS = 25, 5, 12


def image_series(runs: Runs, arms: Sequence[Arm]) -> Grids | None:
    """The grids of one run per arm; readers can choose the seed, as far as the page has room.

    Only seeds that all arms have can be chosen, those with the most grids first; if there are none,
    each arm shows its first. None if no run has a grid in a local journal.
    """
    by_arm: dict[str, dict[int, Panel]] = {}
    real: dict[str, Panel] = {}
    for arm in arms:
        for run, seed in zip(arm.runs, arm.seeds, strict=True):
            folder = runs.folder(run)
            sides = image_sides(runs.table.loc[run].get(IMAGE_SIZE))
            if folder is None or sides is None:
                continue
            if files := image_files(folder, FIXED_NOISE):
                by_arm.setdefault(arm.label, {})[seed] = Panel(arm.label, sides, files)
                if real_files := image_files(folder, REAL):
                    real[arm.label] = Panel("real images", sides, real_files)
    shown = dict(list(by_arm.items())[:MAX_ARMS])
    if not shown:
        return None
    choices = _choices(shown, _real_of_all(runs, arms, real))
    # A store may keep all grids of one seed and only the last of the others.
    choices.sort(key=lambda choice: len(_steps(choice)), reverse=True)
    first = choices[0]
    cost = sum(map(_cropped_bytes, first.panels))
    steps = _steps(first, max(2, min(MAX_STEPS, BUDGET // max(1, cost))))
    room = accumulate(sum(_bytes_at(steps, panel) for panel in each.panels) for each in choices)
    seeds_shown = max(1, min(MAX_SEEDS, sum(needed <= BUDGET for needed in room)))
    still = grids_by_step_and_arm(
        {panel.label: panel.files for panel in first.panels},
        {panel.label: panel.sides for panel in first.panels},
        real={label: _newest(panel) for label, panel in real.items() if label in shown},
    )
    caption = _caption(steps, len(shown), len(by_arm))
    all_runs = [str(run) for arm in arms for run in arm.runs]
    animation = None
    if len(all_runs) == 1:
        (panel,) = first.panels
        animation = moving_training(all_runs[0], panel.files, panel.sides)
    return Grids(caption, tuple(steps), tuple(choices[:seeds_shown]), still, animation)


def _real_of_all(runs: Runs, arms: Sequence[Arm], real: Mapping[str, Panel]) -> Panel | None:
    """The real images of the first arm that kept them; named by it if arms have other data."""
    if not real:
        return None
    label, panel = next(iter(real.items()))
    ids = [run for arm in arms for run in arm.runs]
    several = len(distinct(runs.table.loc[ids], f"{CONFIG}/dataset/fingerprint")) > 1
    return replace(panel, label=f"real images of {label}") if several else panel


def _choices(arms: Mapping[str, Mapping[int, Panel]], real: Panel | None) -> list[Choice]:
    shared = sorted(set.intersection(*(set(panels) for panels in arms.values())))
    if shared:
        return [
            Choice(f"seed {seed}", tuple(panels[seed] for panels in arms.values()), real)
            for seed in shared
        ]
    # The arms have no seed in common.
    firsts = [panels[min(panels)] for panels in arms.values()]
    return [Choice("the first seed of each arm", tuple(firsts), real)]


def _steps(choice: Choice, most: int = MAX_STEPS) -> list[int]:
    return common_steps([panel.files for panel in choice.panels], most)


def _bytes_at(steps: Sequence[int], panel: Panel) -> int:
    return _cropped_bytes(panel) * sum(step in panel.files for step in steps)


def _caption(steps: Sequence[int], shown: int, arms: int) -> str:
    left_out = f" Only the first {shown} of {arms} arms are shown." if arms > shown else ""
    when = "during training" if len(steps) > 1 else f"at step {steps[0]:,}"
    return (
        f"Images from the same noise {when}. "
        f"Shown are the first {SIDE} images of the first {SIDE} rows of each grid; none "
        f"was picked by hand.{left_out}"
    )


def _cropped_bytes(panel: Panel) -> int:
    """The approximate size of the cropped grid of a late step."""
    file = panel.files[max(panel.files)]
    with PIL.Image.open(file) as picture:
        high, wide = (SIDE * (side + GRID_PADDING) + GRID_PADDING for side in panel.sides)
        share = min(wide, picture.width) * min(high, picture.height)
        return round(file.stat().st_size * share / (picture.width * picture.height))


def _newest(panel: Panel) -> Path:
    return panel.files[max(panel.files)]
