"""What a run's generator makes for the report on that run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dcgan.store_dir import dcgan_command
from tracking.errors import UserError, warn

if TYPE_CHECKING:
    from analysis.report.generator_section import GeneratorImages
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.samples.latents import Latents
    from dcgan.samples.pixels import Pixels

_ROWS, _COLUMNS = 4, 8
_SEEDS, _STEPS = (0, 1, 2, 3), 12


def generator_images(folder: Path) -> GeneratorImages | None:
    """Samples and a walk by the last checkpoint of a run; None if it has none.

    folder: Of the run. A generator that makes no images is left out with a warning.
    """
    if not any((folder / "checkpoints").glob("step-*.pt")):
        return None  # without importing torch
    from analysis.report.generator_section import GeneratorImages
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.samples import latents

    run = folder.name
    try:
        trained_run = TrainedRun.open(folder)
        network = trained_run.config.network
        samples = _pixels(trained_run, latents.of_seed(network, 0, _ROWS * _COLUMNS))
        walk = _pixels(trained_run, latents.walk(network, _SEEDS, _STEPS, closed=True))
    except UserError as error:
        warn(f"Images of {run} are left out: {str(error).splitlines()[0]}")
        return None
    store = folder.parent
    lines = (
        ("sample", run, "-n", "50000", "-o", f"{run}/"),
        ("sample", run, "--seeds", "0-63", "-o", "seeds.png"),
        ("animate", run, "--walk", "0,1,2,3", "-o", "walk.gif"),
        ("export", run, "-o", f"{run}-export/generator.onnx"),
    )
    return GeneratorImages(
        run,
        trained_run.step,
        samples.reshape(_ROWS, _COLUMNS, *samples.shape[1:]),
        walk,
        _SEEDS,
        _STEPS,
        tuple(dcgan_command(*line, store=store) for line in lines),
    )


def _pixels(run: TrainedRun, chosen: Latents) -> Pixels:
    import numpy as np

    from dcgan.samples.pixels import as_in_grids, images_of, render_all

    return as_in_grids(np.concatenate(list(render_all(images_of(run, chosen)))), run)
