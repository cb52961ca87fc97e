"""The figures of one run: losses, D's scores, images during training, real images, evaluation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.caveats import NO_QUALITY
from analysis.health import examine
from analysis.image_files import evenly_spaced, image_files, read_picture
from analysis.plots import style
from analysis.plots.evaluation_curves import evaluation_curves, has_evaluation
from analysis.plots.figure_file import save_captions
from analysis.plots.finding_marks import mark_findings
from analysis.plots.run_curves import Curve, draw_metrics, finish_time_axis, line_note
from analysis.plots.style import house_style, new_figure
from diagnosis import Finding
from tracking.atomic_files import atomic_write
from tracking.backends.local import read_fields, read_steps
from tracking.errors import StoreError
from tracking.events import BATCH, FIXED_NOISE, REAL, SYS
from tracking.wording import ANECDOTE

Pixels: TypeAlias = npt.NDArray[np.uint8]

RunPlot: TypeAlias = Literal["loss", "scores", "progression", "real_and_fake", "evaluation"]
"""The figures of a run."""

MAX_GRIDS = 6


_logger = logging.getLogger(__name__)


@house_style
def loss_curves(steps: pd.DataFrame, title: str = "", findings: Sequence[Finding] = ()) -> Figure:
    """The losses of G and D, separately and together: single batches and epoch means.

    Stretches with a NaN or infinite loss are hatched, and their steps counted.

    Args:
        steps: The run's step table, `tracking.tables.step_table`.
        title: The figure's title; may be empty.
        findings: The findings of the health rules, drawn as bars below the curves.
    """
    figure = new_figure(7.4, title, line_note(steps))
    generator, discriminator, both = figure.subplots(3, 1, sharex=True)
    generator_curve = Curve("Gloss", "G", style.GENERATOR)
    discriminator_curve = Curve("Dloss", "D", style.DISCRIMINATOR)
    draw_metrics(generator, steps, "Generator", [generator_curve])
    draw_metrics(discriminator, steps, "Discriminator", [discriminator_curve])
    draw_metrics(both, steps, "Both", [generator_curve, discriminator_curve])
    for axes in (generator, discriminator, both):
        axes.set_ylabel("loss")
    finish_time_axis(both, steps)
    mark_findings(both, findings)
    figure.align_ylabels()
    return figure


@house_style
def score_curves(steps: pd.DataFrame, title: str = "", findings: Sequence[Finding] = ()) -> Figure:
    """D's output for real images and for fakes, and for the same fakes after D's step.

    Scores are taken for probabilities, 1 for real, unless one is outside 0 to 1: those of a critic
    have no fixed scale.

    Args:
        steps: The run's step table, `tracking.tables.step_table`.
        title: The figure's title; may be empty.
        findings: The findings of the health rules, drawn as bars below the curves.
    """
    probabilities = _are_probabilities(steps)
    meaning = (
        "At 0.5, D cannot tell real from fake: G may be good, or D weak."
        if probabilities
        else "This D gives no probabilities: only the distance between the curves is meaningful."
    )
    figure = new_figure(5.6, title, f"{line_note(steps)} {meaning}")
    apart, step_of_discriminator = figure.subplots(2, 1, sharex=True, sharey=True)
    before = Curve("D_G_z1", "D(G(z))", style.FAKE)
    draw_metrics(apart, steps, "Real and fake", [Curve("D_x", "D(x)", style.REAL), before])
    draw_metrics(
        step_of_discriminator,
        steps,
        "D(G(z)) before and after D's step",
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
    mark_findings(apart, findings)
    return figure


@house_style
def grids_by_step(images: Mapping[int, Pixels], title: str = "") -> Figure:
    """G's images from the same noise during training: at most six grids, with the first and last.

    images: Step -> grid, uint8 (H, W, C), C = 1 or 3. Raises ValueError if there is none.
    """
    chosen = evenly_spaced(sorted(images), MAX_GRIDS)
    if not chosen:
        raise ValueError("There is no image to show.")
    rows = 1 if len(chosen) <= 3 else 2
    columns = -(-len(chosen) // rows)
    heights, widths = zip(*(images[step].shape[:2] for step in chosen), strict=True)
    height = (
        0.2 + 0.3 * bool(title) + rows * (style.WIDTH / columns * max(heights) / max(widths) + 0.25)
    )
    note = "All grids are from the same noise; no image was picked by hand."
    figure = new_figure(height, title, note)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, step in zip(panels, chosen, strict=False):
        name = f"step {step:,}" if step else "before training"
        _show_picture(axes, images[step], name)
    return figure


@house_style
def real_and_fake_grids(
    real: Pixels, fake: Pixels, title: str = "", fake_step: int | None = None
) -> Figure:
    """A grid of real images next to one of G's.

    Args:
        real: uint8 (H, W, C), C = 1 or 3.
        fake: In the same format as `real`.
        title: The figure's title; may be empty.
        fake_step: The training step at which G made its images; not shown if omitted.
    """
    height = 0.3 + 0.3 * bool(title) + style.WIDTH / 2 * real.shape[0] / real.shape[1]
    figure = new_figure(height, title, "No image was picked by hand.")
    left, right = figure.subplots(1, 2)
    _show_picture(left, real, "Real")
    _show_picture(right, fake, "Fake" if fake_step is None else f"Fake, step {fake_step:,}")
    return figure


def save_run_plots(
    folder: Path, output: Path, warn: Callable[[str], None] = _logger.warning
) -> list[Path]:
    """Draw the figures of a run of the local store as PNG files.

    Args:
        folder: The run's folder.
        output: The folder for the files; created if there is something to draw.
        warn: Called with a message for each figure that cannot be drawn.

    Returns:
        The files, each complete: loss.png, scores.png, progression.png, real_and_fake.png and
        evaluation.png, if the run has data for them, and captions.txt.

    Raises:
        OSError: `output` cannot be written to.
    """
    saved = []
    captions: dict[str, str] = {}
    for drawing in _drawings(folder):
        if drawing.missing:
            warn(f"{drawing.name}.png is left out: the run has no {drawing.missing}.")
            continue
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"{drawing.name}.png"
        figure = drawing.draw()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=style.DOTS_PER_INCH)
        saved.append(path)
        captions[drawing.name] = style.caption_of(figure)
    if saved:
        saved.append(save_captions(captions, [f"{ANECDOTE} {NO_QUALITY}"], output))
    return saved


def draw_run_plot(folder: Path, name: RunPlot) -> Figure:
    """Draw one figure of a run of the local store.

    Raises StoreError if the run has no data for it.
    """
    drawing = next((each for each in _drawings(folder) if each.name == name), None)
    missing = "evaluation" if drawing is None else drawing.missing
    if drawing is None or missing:
        raise StoreError(f"The run {folder.name} has no {missing} to draw.")
    return drawing.draw()


def _are_probabilities(steps: pd.DataFrame) -> bool:
    scores = steps.filter(items=[f"{BATCH}/{name}" for name in ("D_x", "D_G_z1", "D_G_z2")])
    finite = scores.to_numpy()[np.isfinite(scores.to_numpy())]
    return bool(((finite >= 0) & (finite <= 1)).all())


@dataclass(frozen=True)
class _Drawing:
    """A figure that can be drawn, or what is missing for it.

    Attributes:
        name: The name of its file, without extension.
        missing: The data that the run lacks; empty if the figure can be drawn.
        draw: Draws the figure.
    """

    name: RunPlot
    missing: str
    draw: Callable[[], Figure]


def _drawings(folder: Path) -> list[_Drawing]:
    title = _title(folder)
    steps = read_steps(folder)
    fakes, reals = image_files(folder, FIXED_NOISE), image_files(folder, REAL)
    findings = examine(read_fields(folder), steps, folder).findings if len(steps) else []
    no_steps = "" if len(steps) else "finished step"
    no_fakes = "" if fakes else f"picture in {FIXED_NOISE}"
    no_reals = "" if reals else f"picture in {REAL}"

    def draw_progression() -> Figure:
        chosen = evenly_spaced(list(fakes), MAX_GRIDS)
        return grids_by_step({step: read_picture(fakes[step]) for step in chosen}, title)

    def draw_real_and_fake() -> Figure:
        last = max(fakes)
        return real_and_fake_grids(
            read_picture(reals[max(reals)]), read_picture(fakes[last]), title, last
        )

    drawings = [
        _Drawing("loss", no_steps, lambda: loss_curves(steps, title, findings)),
        _Drawing("scores", no_steps, lambda: score_curves(steps, title, findings)),
        _Drawing("progression", no_fakes, draw_progression),
        _Drawing("real_and_fake", no_fakes or no_reals, draw_real_and_fake),
    ]
    if has_evaluation(steps):  # a run need not be
        fields = read_fields(folder)
        drawings.append(_Drawing("evaluation", "", lambda: evaluation_curves(steps, fields, title)))
    return drawings


def _title(folder: Path) -> str:
    fields = read_fields(folder)
    name, recipe, status = (fields.get(f"{SYS}/{key}") for key in ("name", "recipe", "status"))
    parts = [str(name or folder.name), f"recipe {recipe}" if recipe else "", str(status or "")]
    return " \N{MIDDLE DOT} ".join(part for part in parts if part)


def _show_picture(axes: Axes, pixels: Pixels, name: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(name, fontweight="normal")
