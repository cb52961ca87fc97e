"""Images by a run's generator for the report on that run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.store_dir import dcgan_command
from tracking.errors import UserError, warn

if TYPE_CHECKING:
    from analysis.report.generator_section import GeneratorImages
    from analysis.runs import Runs

_ROWS, _COLUMNS = 4, 8
_SEEDS, _STEPS = (0, 1, 2, 3), 12


def images_of_single_run(runs: Runs) -> GeneratorImages | None:
    """`generator_images` if there is one run and its folder is here; None otherwise."""
    folder = runs.folder(str(runs.table.index[0])) if len(runs.table) == 1 else None
    return None if folder is None else generator_images(folder)


def generator_images(folder: Path) -> GeneratorImages | None:
    """Samples and a latent walk by the last checkpoint of the run in a folder.

    None if the run has no checkpoint, and, after a warning, if its generator makes no images.
    """
    if not any((folder / CHECKPOINT_DIR).glob("step-*.pt")):
        return None  # before torch is imported, which takes seconds
    from analysis.report.generator_section import GeneratorImages
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.samples import latents
    from dcgan.samples.pixels import render_as_in_grids

    run = folder.name
    try:
        trained_run = TrainedRun.open(folder)
        network = trained_run.config.network
        samples = render_as_in_grids(trained_run, latents.of_seed(network, 0, _ROWS * _COLUMNS))
        walk = render_as_in_grids(trained_run, latents.walk(network, _SEEDS, _STEPS, closed=True))
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
