"""Images by the generator of a single run, and how to use it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.image_files import evenly_spaced
from analysis.plots.figure_file import FigureFile
from analysis.plots.probes import Mosaic, mosaic_figure
from analysis.report.content import Commands, Figure, Figures, Prose, Section
from analysis.report.moving_pictures import moving_walk

_STRIP = 9


@dataclass(frozen=True, eq=False)
class GeneratorImages:
    """Images by a run's generator for its report.

    Attributes:
        run: The run's id.
        step: The step of the generator's checkpoint.
        samples: Images from the first latents of seed 0.
        walk: uint8 (N, H, W, C), from seed to seed and back to the first.
        seeds: The seeds that the walk passes.
        steps: Number of images from one seed to the next.
        commands: Command lines that use the generator.
    """

    run: str
    step: int
    samples: Mosaic
    walk: npt.NDArray[np.uint8]
    seeds: tuple[int, ...]
    steps: int
    commands: tuple[str, ...]


def generator_section(images: GeneratorImages) -> Section:
    """Samples, a walk, and the command lines for more of them and for export."""
    rows, columns = images.samples.shape[:2]
    of_run = f"by {images.run} at step {images.step:,}"
    samples = FigureFile(
        mosaic_figure(images.samples, "", "The first images of seed 0; none was picked by hand."),
        "samples",
        f"{rows * columns} images {of_run}.",
        pd.DataFrame({"image": range(rows * columns), "seed": 0}),
    )
    shown = evenly_spaced(range(images.steps + 1), _STRIP)
    first, second = images.seeds[:2]
    strip = FigureFile(
        mosaic_figure(images.walk[shown][None], "", f"From seed {first} to seed {second}."),
        "walk_strip",
        f"{len(shown)} images {of_run}, on the way between two latents.",
        pd.DataFrame({"image": shown, "share": [each / images.steps for each in shown]}),
    )
    return Section(
        "The generator",
        (
            Figures(
                (
                    Figure(samples, f"New images {of_run}, with batch norm's learnt statistics."),
                    Figure(strip, "A walk between two latents, in equal steps."),
                )
            ),
            moving_walk(images.walk, images.seeds, images.steps),
            Prose("More images, another walk, and the generator for other programs:"),
            Commands(images.commands),
        ),
    )
