"""`dcgan sample`: new images from a run's generator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.choices import LARGEST_SEED, BatchNormMode
from dcgan.cli.options import (
    Checkpoint,
    Device,
    RunReference,
    Store,
)
from dcgan.cli.output_file import (
    PIL_FORMATS,
    check_output_file,
    check_output_folder,
    file_with_extension,
)
from dcgan.cli.sampling_options import (
    GeneratorWeights,
    open_trained_run,
    parse_image_seeds,
)
from dcgan.store_dir import DEFAULT_STORE
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.config.schema import Network
    from dcgan.samples.image_files import Container
    from dcgan.samples.latents import Latents

_ARCHIVES: dict[str, Container] = {".zip": "zip", ".npz": "npz"}
_COUNT = 64


def _check_output(output: str) -> str:
    if _is_folder(output):
        check_output_folder(Path(output))
    elif Path(output).suffix.lower() not in (*PIL_FORMATS, *_ARCHIVES):
        raise typer.BadParameter(
            f"{output}: the file extension sets the format. For one picture choose "
            f"{', '.join(PIL_FORMATS)}, for all images .zip or .npz, or a folder with / at its end."
        )
    else:
        file_with_extension((*PIL_FORMATS, *_ARCHIVES))(Path(output))
    return output


def _is_folder(output: str) -> bool:
    """Whether images go into a folder; raises typer.BadParameter for one named as a file."""
    if output.endswith(("/", os.sep)):
        return True
    path = Path(output)
    if path.suffix.lower() in (*PIL_FORMATS, *_ARCHIVES):
        check_output_file(path)
    return path.is_dir()


def sample(
    run: RunReference = "last",
    count: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--count",
            min=1,
            help="Number of images; 64, or one per seed of --seeds or latent of --latents.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="What to write: one picture (.png, .jpg, .webp, .tif or .bmp), a PNG per image in "
            "a folder/ or a .zip, or one array in an .npz.",
            callback=_check_output,
        ),
    ] = "grid.png",
    columns: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images per row of a picture; by default it is square.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            help="Seed of the latent vectors; 0 by default.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="The first image of each of these seeds, such as 3,7 or 0-63.",
            show_default=False,
        ),
    ] = None,
    latents: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="Your own latent vectors, an array (N, latent_size).",
            show_default=False,
        ),
    ] = None,
    interpolate: Annotated[
        tuple[int, int] | None,
        typer.Option(
            min=0,
            max=LARGEST_SEED,
            metavar="SEED SEED",
            help="A walk from the first image of one seed to that of another.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = "last",
    mode: Annotated[
        BatchNormMode,
        typer.Option(
            help="Batch norm by the learned statistics (eval) or by those of these images (train)."
        ),
    ] = "eval",
    weights: GeneratorWeights = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Generate new images with a run's generator: one grid, or any number of files.

    The k-th image of a seed is the same for any number of images. Nothing is
    written if the disk is too small for all of them.

    [dim]dcgan sample last -o grid.png
    dcgan sample last -n 50000 -o fakes/
    dcgan sample last --seeds 0-63 -o seeds.png
    dcgan sample last --interpolate 3 7 -n 10 --columns 10 -o walk.png[/dim]
    """
    from dcgan.cli.progress import ImageProgress
    from dcgan.samples.grid_file import write_grid
    from dcgan.samples.image_files import check_empty, write_images
    from dcgan.samples.pixels import images_of

    sources = {
        "--seed": seed,
        "--seeds": seeds,
        "--latents": latents,
        "--interpolate": interpolate,
    }
    used = [option for option, value in sources.items() if value is not None]
    if len(used) > 1:
        raise typer.BadParameter(f"Give either {used[0]} or {used[1]}: each says which images.")
    path, is_folder = Path(output), _is_folder(output)
    picture_format = None if is_folder else PIL_FORMATS.get(path.suffix.lower())
    if columns is not None and picture_format is None:
        raise typer.BadParameter("--columns is for one picture, such as -o grid.png.")
    if is_folder:
        check_empty(path)
    trained_run = open_trained_run(store, run, checkpoint, device)
    chosen = _latents(trained_run.config.network, count, seed, seeds, latents, interpolate)
    images = images_of(trained_run, chosen, weights=weights, mode=mode)
    config = trained_run.config
    with ImageProgress() as bar:

        def progress(done: int, total: int) -> None:
            bar.show("images", done, total)

        if picture_format is not None:
            write_grid(
                images,
                config.dataset.sides,
                path,
                picture_format,
                columns=columns,
                inverted=config.images.inverted,
                progress=progress,
            )
        else:
            container = "folder" if is_folder else _ARCHIVES[path.suffix.lower()]
            write_images(images, path, container, progress)
    Console(highlight=False).print(
        f"{output}: {plural(chosen.count, 'image')} by {trained_run.folder.name}",
        soft_wrap=True,
        markup=False,
    )


def _latents(
    network: Network,
    count: int | None,
    seed: int | None,
    seeds: str | None,
    file: Path | None,
    ends: tuple[int, int] | None,
) -> Latents:
    from dcgan.samples import latents

    if file is not None:
        return latents.of_file(network, file, count)
    if seeds is not None:
        chosen = parse_image_seeds(seeds, "--seeds")
        if count not in (None, len(chosen)):
            raise typer.BadParameter(f"--seeds names {plural(len(chosen), 'image')}: leave -n out.")
        return latents.of_seeds(network, chosen)
    if ends is not None:
        if count == 1:
            raise typer.BadParameter("--interpolate needs at least two images, its ends: -n 2.")
        return latents.walk(network, ends, (count or _COUNT) - 1, closed=False)
    return latents.of_seed(network, seed or 0, count or _COUNT)
