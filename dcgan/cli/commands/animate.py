"""`dcgan animate`: animations of a training or of a walk through latent space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.cli.format import size
from dcgan.cli.options import (
    Checkpoint,
    Device,
    RunReference,
    Store,
)
from dcgan.cli.output_file import file_with_extension
from dcgan.cli.sampling_options import GeneratorWeights, open_trained_run, parse_image_seeds
from dcgan.store_dir import DEFAULT_STORE
from tracking.wording import plural

if TYPE_CHECKING:
    from analysis.animation.frames import Animation
    from dcgan.choices import Weights
    from dcgan.run_folder.trained_run import TrainedRun

_GRIDS, _GRIDS_PER_SECOND = 100, 8.0
_STEPS, _STEPS_PER_SECOND = 30, 15.0
_MAX_FRAMES = 3_000
"""The maximum number of frames of a walk, since all are in memory at once."""


def animate(
    run: RunReference = "last",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File to write, .gif, .webp or .mp4; training.gif or walk.gif by default.",
            callback=file_with_extension((".gif", ".webp", ".mp4")),
            show_default=False,
        ),
    ] = None,
    walk: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Instead of the training, walk through latent space from seed to seed and back, "
            "such as 3,7,12.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="At most this many grids of a training (100), or images from one seed to the "
            "next of a walk (30).",
            show_default=False,
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=30,
            metavar="N",
            help="Grids or images per second; 8 for a training, 15 for a walk.",
            show_default=False,
        ),
    ] = None,
    edge: Annotated[
        int, typer.Option(min=64, max=4096, metavar="N", help="Longer edge in pixels, at most.")
    ] = 800,
    checkpoint: Checkpoint = "last",
    weights: GeneratorWeights = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Animate a training from the run's grids, or a walk through latent space.

    Each grid has its step below it, and the last grid stays for two seconds. A
    walk follows great circles between the images that dcgan sample --seeds
    shows; --checkpoint, --weights and --device apply to a walk only.

    [dim]dcgan animate last -o training.webp
    dcgan animate last --walk 3,7,12 -o walk.gif[/dim]
    """
    from analysis.animation.files import check_can_write, save_animation
    from tracking.store import find_run

    path = output or Path("training.gif" if walk is None else "walk.gif")
    check_can_write(path)
    if walk is None:
        for option, chosen in (("--checkpoint", checkpoint != "last"), ("--weights", weights)):
            if chosen:
                raise typer.BadParameter(
                    f"{option} applies to a walk only. Name its seeds: --walk 3,7."
                )
        animation = _training(
            find_run(store, run), edge, frames or _GRIDS, fps or _GRIDS_PER_SECOND
        )
    else:
        seeds = parse_image_seeds(walk, "--walk")
        if len(seeds) < 2:
            raise typer.BadParameter(f"--walk {walk}: a walk needs two seeds, such as --walk 3,7.")
        steps = frames or _STEPS
        if len(seeds) * steps > _MAX_FRAMES:
            raise typer.BadParameter(
                f"--walk: {plural(len(seeds), 'seed')} of {plural(steps, 'frame')} are more than "
                f"{_MAX_FRAMES:,} frames. Name fewer seeds."
            )
        trained_run = open_trained_run(store, run, checkpoint, device)
        animation = _walk(trained_run, weights, seeds, edge, steps, fps or _STEPS_PER_SECOND)
    save_animation(animation, path)
    Console(highlight=False).print(
        f"{path}: {plural(len(animation.frames), 'frame')}, {sum(animation.seconds):.1f} s, "
        f"{size(path.stat().st_size)}",
        soft_wrap=True,
        markup=False,
    )


def _training(folder: Path, edge: int, grids: int, fps: float) -> Animation:
    from analysis.animation.frames import training_animation
    from analysis.image_files import image_files
    from tracking.errors import StoreError
    from tracking.events import FIXED_NOISE

    files = image_files(folder, FIXED_NOISE)
    if len(files) < 2:
        raise StoreError(
            f"The run {folder.name} has {plural(len(files), 'grid')} in {FIXED_NOISE}; an "
            "animation needs two.\nTrain with --set images.every_steps=100 for more, or walk "
            "through latent space: --walk 3,7."
        )
    return training_animation(files, max_grids=grids, longest_edge=edge, frames_per_second=fps)


def _walk(
    run: TrainedRun, weights: Weights | None, seeds: list[int], edge: int, steps: int, fps: float
) -> Animation:
    from analysis.animation.frames import walk_animation
    from dcgan.cli.progress import ImageProgress
    from dcgan.samples import latents
    from dcgan.samples.pixels import as_in_grids, images_of, render_all

    chosen = latents.walk(run.config.network, seeds, steps, closed=True)
    images = images_of(run, chosen, weights=weights)
    with ImageProgress() as bar:
        batches = render_all(images, lambda done, total: bar.show("images", done, total))
        return walk_animation(
            (as_in_grids(pixels, run) for pixels in batches),
            seeds,
            steps,
            longest_edge=edge,
            frames_per_second=fps,
        )
