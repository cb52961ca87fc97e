"""Draws the pictures of docs/diagnosis.md: curves and grids of one run per rule.

    python benchmarks/health_pictures.py --store STORE [--output docs/health]

STORE holds the runs of health_runs.py. Which run stands for a rule is fixed below; none is chosen
by hand among several of the same kind: it is the one of seed 0. Copies are shown on digits, because
on other sets G made none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import PIL.Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from health_rules import folders  # noqa: E402
from health_runs import labelled_runs  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from analysis.health import examine  # noqa: E402
from analysis.image_files import image_files  # noqa: E402
from analysis.plots import style  # noqa: E402
from analysis.plots.finding_marks import mark_findings  # noqa: E402
from analysis.plots.style import draw_caption, house_style, legend_above, new_figure  # noqa: E402
from diagnosis import Finding  # noqa: E402
from tracking.backends.local import read_fields, read_steps  # noqa: E402
from tracking.events import BATCH, FIXED_NOISE, GRID_PADDING, REAL  # noqa: E402

REFERENCE = HERE.parent / "runs" / "reference" / "diagnosis"
SHOWN: dict[str, tuple[str, int | None]] = {
    "healthy": ("default/mnist", None),
    "not_finite": ("nan-data/mnist", None),
    "diverging": ("rate-1/digits", None),
    "discriminator_won": ("mnist-ablation-ehqcqy", 547),
    "generator_won": ("label-flips/mnist", None),
    "one_image": ("one-latent/mnist", None),
    "collapsed": ("mnist-ablation-c8sf8t", 547),
    "oscillating": ("turns/mnist", None),
    "not_learning": ("rate-1e-5/mnist", None),
    "memorising": ("four-images/digits", None),
    "data_at_fault": ("constant-data/mnist", None),
}
"""Rule -> kind and set of a labelled run, or a committed run; and the step of the grid, if not the
last."""

SIDE = 4
DOTS_PER_INCH = 100


@house_style
def draw(folder: Path, title: str, output: Path, at: int | None) -> None:
    """Outputs of D and losses by step, and a corner of the last grids.

    Args:
        folder: Of the run.
        title: Of the figure.
        output: The PNG file.
        at: The step of the grid of fakes; None for the last.
    """
    fields, steps = read_fields(folder), read_steps(folder)
    watch = examine(fields, steps, folder)
    found = [f"{each.rule} {_steps(each)}" for each in watch.findings]
    figure = new_figure(2.5, "", f"{title} Found: {'; '.join(found) or 'nothing'}.")
    axes = figure.subplots(1, 4, width_ratios=(1.6, 1.2, 1, 1))
    trained = steps[steps["step"] > 0]
    for panel, name, lines in (
        (axes[0], "D", (("D_x", "D(x)", style.REAL), ("D_G_z1", "D(G(z))", style.FAKE))),
        (axes[1], "loss", (("Gloss", "G", style.GENERATOR), ("Dloss", "D", style.DISCRIMINATOR))),
    ):
        for metric, label, colour in lines:
            values = trained[f"{BATCH}/{metric}"].where(np.isfinite(trained[f"{BATCH}/{metric}"]))
            panel.plot(trained["step"], values, color=colour, lw=0.6, label=label)
        panel.set_title(name, fontsize="small")
        legend_above(panel)
        panel.tick_params(labelsize="x-small")
        panel.set_xlabel("step", fontsize="x-small")
        panel.set_xlim(0, trained["step"].max() * 1.01)
    if axes[0].get_ylim()[1] <= 1.2 and axes[0].get_ylim()[0] >= -0.2:
        axes[0].set_ylim(-0.03, 1.03)
    mark_findings(axes[0], watch.findings)
    size = int(str(fields["config/dataset/image_size"]))
    fakes = image_files(folder, FIXED_NOISE)
    show_corner(axes[2], image_files(folder, REAL), size, "real")
    show_corner(axes[3], fakes if at is None else {at: fakes[at]}, size, "fake, step {:,}")
    output.parent.mkdir(exist_ok=True, parents=True)
    draw_caption(figure)
    figure.savefig(output, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"optimize": True})
    with PIL.Image.open(output) as picture:
        picture.convert("RGB").quantize(256).save(output, optimize=True)


def _steps(finding: Finding) -> str:
    if finding.ended:
        return f"in steps {finding.since:,} to {finding.until:,}"
    return f"from step {finding.since:,} on"


def show_corner(axes: Axes, files: dict[int, Path], size: int, title: str) -> None:
    """The first images of the last grid of a series.

    Args:
        axes: Where they are shown.
        files: Step -> grid.
        size: Pixels along a side of an image.
        title: With a place for the step.
    """
    step = max(files)
    edge = SIDE * (size + GRID_PADDING) + GRID_PADDING
    with PIL.Image.open(files[step]) as picture:
        axes.imshow(np.asarray(picture)[:edge, :edge], cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(title.format(step), fontsize="small", fontweight="normal")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "health")
    options = parser.parse_args()
    done = folders(options.store, list(labelled_runs()))
    for rule, (run, at) in SHOWN.items():
        name = f"labelled/{run}/seed-0"
        folder = done.get(name) if "/" in run else REFERENCE / run
        if folder is None:
            continue
        output = options.output / f"{rule}.png"
        draw(folder, f"The run {name if '/' in run else run}.", output, at)
        print(rule, output.stat().st_size)


if __name__ == "__main__":
    main()
