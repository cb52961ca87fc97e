"""The figures of one run: losses, D's scores, images over time, real images beside fakes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.image_files import evenly_spaced, image_files
from analysis.plots import style
from analysis.plots.run_curves import Curve, draw_panel, finish_time_axis, line_note
from analysis.plots.style import house_style, new_figure
from tracking.atomic_files import atomic_write
from tracking.backends.local import read_fields, read_steps
from tracking.events import BATCH, FIXED_NOISE, REAL, SYS

Pixels: TypeAlias = npt.NDArray[np.uint8]


MAX_GRIDS = 6


_ONE_RUN = "One run with one seed is an anecdote."


_logger = logging.getLogger(__name__)


@house_style
def loss_curves(steps: pd.DataFrame, title: str = "") -> Figure:
    """The losses of G and D, apart and together: each batch, and the means of the epochs.

    steps: of one run, as `tracking.tables.step_table` describes it. Stretches in which a loss is
    NaN or infinite are hatched and counted.
    """
    note = (
        f"{line_note(steps)} {_ONE_RUN} "
        "A loss says how the game of G and D goes, not how good the images are."
    )
    figure = new_figure(7.4, title, note)
    generator, discriminator, both = figure.subplots(3, 1, sharex=True)
    generator_curve = Curve("Gloss", "G", style.GENERATOR)
    discriminator_curve = Curve("Dloss", "D", style.DISCRIMINATOR)
    draw_panel(generator, steps, "Generator", [generator_curve])
    draw_panel(discriminator, steps, "Discriminator", [discriminator_curve])
    draw_panel(both, steps, "Both", [generator_curve, discriminator_curve])
    for axes in (generator, discriminator, both):
        axes.set_ylabel("loss")
    finish_time_axis(both, steps)
    figure.align_ylabels()
    return figure


@house_style
def score_curves(steps: pd.DataFrame, title: str = "") -> Figure:
    """D's output for real images, for fakes, and for the same fakes after D's step.

    steps: of one run, as `tracking.tables.step_table` describes it. Scores are probabilities, 1
    for real, unless one lies outside 0 to 1: then they are a critic's, which have no fixed scale.
    """
    probabilities = _are_probabilities(steps)
    meaning = (
        "At 0.5 D cannot tell real from fake, be it that G is good or that D is weak."
        if probabilities
        else "This D gives no probabilities: only the distance between the curves means something."
    )
    note = f"{line_note(steps)} {_ONE_RUN} {meaning}"
    figure = new_figure(5.6, title, note)
    apart, step_of_discriminator = figure.subplots(2, 1, sharex=True, sharey=True)
    before = Curve("D_G_z1", "D(G(z))", style.FAKE)
    draw_panel(apart, steps, "Real and fake", [Curve("D_x", "D(x)", style.REAL), before])
    draw_panel(
        step_of_discriminator,
        steps,
        "D(G(z)) at D's step",
        [
            Curve("D_G_z1", "before", style.FAKE),
            Curve("D_G_z2", "after", style.FAKE_AFTERWARDS),
        ],
    )
    for axes in (apart, step_of_discriminator):
        axes.set_ylabel("D's output")
        if probabilities:
            axes.axhline(0.5, color=style.REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=4)
    if probabilities:
        apart.set_ylim(-0.03, 1.03)
    finish_time_axis(step_of_discriminator, steps)
    return figure


@house_style
def grid_progression(images: Mapping[int, Pixels], title: str = "") -> Figure:
    """G's images from the same noise over time: at most six grids, the first and the last included.

    images: by step, uint8 (H, W, C), C = 1 or 3. Raises ValueError if there is none.
    """
    chosen = evenly_spaced(sorted(images), MAX_GRIDS)
    if not chosen:
        raise ValueError("There is no image to show.")
    rows = 1 if len(chosen) <= 3 else 2
    columns = -(-len(chosen) // rows)
    heights, widths = zip(*(images[step].shape[:2] for step in chosen), strict=True)
    height = 0.6 + rows * (style.WIDTH / columns * max(heights) / max(widths) + 0.25)
    note = f"{_ONE_RUN} The noise vectors are the same throughout; none was picked by hand."
    figure = new_figure(height, title, note)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, step in zip(panels, chosen, strict=False):
        name = f"step {step:,}" if step else "before training"
        _show_picture(axes, images[step], name)
    return figure


@house_style
def real_and_fake(
    real: Pixels, fake: Pixels, title: str = "", fake_step: int | None = None
) -> Figure:
    """Real images beside G's.

    Args:
        real: A grid of real images, uint8 (H, W, C), C = 1 or 3.
        fake: A grid of fakes, likewise.
        title: Above the figure.
        fake_step: The step at which G made the fakes.
    """
    height = 0.9 + style.WIDTH / 2 * real.shape[0] / real.shape[1]
    note = f"{_ONE_RUN} No image was picked by hand."
    figure = new_figure(height, title, note)
    left, right = figure.subplots(1, 2)
    _show_picture(left, real, "Real")
    _show_picture(right, fake, "Fake" if fake_step is None else f"Fake, step {fake_step:,}")
    return figure


def save_run_plots(
    folder: Path, output: Path, report: Callable[[str], None] = _logger.warning
) -> list[Path]:
    """Draw a run of the local store as PNG files.

    Args:
        folder: The run's folder.
        output: Where the files go: at most loss.png, scores.png, progression.png and
            real_and_fake.png, each whole or absent.
        report: Called with a message for each figure that cannot be drawn for lack of data.

    Returns:
        The files written.

    Raises:
        OSError: `output` cannot be written to.
    """
    saved = []
    for drawing in _drawings(folder):
        if drawing.lacking:
            report(f"{drawing.name} is left out: the run has no {drawing.lacking}.")
            continue
        output.mkdir(parents=True, exist_ok=True)
        path = output / drawing.name
        with atomic_write(path) as temporary:
            drawing.draw().savefig(temporary, format="png", dpi=style.DOTS_PER_INCH)
        saved.append(path)
    return saved


def _are_probabilities(steps: pd.DataFrame) -> bool:
    scores = steps.filter(items=[f"{BATCH}/{name}" for name in ("D_x", "D_G_z1", "D_G_z2")])
    finite = scores.to_numpy()[np.isfinite(scores.to_numpy())]
    return bool(((finite >= 0) & (finite <= 1)).all())


@dataclass(frozen=True)
class _Drawing:
    """lacking: what the run has not got that the figure needs; empty if it can be drawn."""

    name: str
    lacking: str
    draw: Callable[[], Figure]


def _drawings(folder: Path) -> list[_Drawing]:
    title = _title(folder)
    steps = read_steps(folder)
    fakes, reals = image_files(folder, FIXED_NOISE), image_files(folder, REAL)
    no_steps = "" if len(steps) else "finished step"
    no_fakes = "" if fakes else f"picture in {FIXED_NOISE}"
    no_reals = "" if reals else f"picture in {REAL}"

    def draw_progression() -> Figure:
        chosen = evenly_spaced(list(fakes), MAX_GRIDS)
        return grid_progression({step: _read(fakes[step]) for step in chosen}, title)

    def draw_real_and_fake() -> Figure:
        last = max(fakes)
        return real_and_fake(_read(reals[max(reals)]), _read(fakes[last]), title, last)

    return [
        _Drawing("loss.png", no_steps, lambda: loss_curves(steps, title)),
        _Drawing("scores.png", no_steps, lambda: score_curves(steps, title)),
        _Drawing("progression.png", no_fakes, draw_progression),
        _Drawing("real_and_fake.png", no_fakes or no_reals, draw_real_and_fake),
    ]


def _title(folder: Path) -> str:
    fields = read_fields(folder)
    name, recipe, status = (fields.get(f"{SYS}/{key}") for key in ("name", "recipe", "status"))
    parts = [str(name or folder.name), f"recipe {recipe}" if recipe else "", str(status or "")]
    return " \N{MIDDLE DOT} ".join(part for part in parts if part)


def _read(file: Path) -> Pixels:
    with PIL.Image.open(file) as picture:
        return np.asarray(picture)


def _show_picture(axes: Axes, pixels: Pixels, name: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(name, fontweight="normal")
