"""Images as files: a folder or zip file of PNGs, or one array."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from dcgan.data.progress import Progress, silent
from dcgan.samples.pixels import Images, Pixels, map_rendered, render_all
from tracking.atomic_files import atomic_folder, atomic_write
from tracking.errors import StoreError, not_written
from tracking.png import to_png
from tracking.wording import plural

Container: TypeAlias = Literal["folder", "zip", "npz"]

ARRAY = "arr_0"
"""The name in an npz file under which evaluators of generators look for images."""

_BLOCK = 4096
"""Block size of most file systems, in bytes."""

_ZIP_ENTRY = 100
"""Bytes of a zip member besides its name and content."""


def write_images(
    images: Images, output: Path, container: Container, progress: Progress = silent
) -> None:
    """Write images one by one, in bounded memory.

    Args:
        images: The images.
        output: The file or the folder; complete or absent, even if the process dies.
        container: `folder` and `zip` for PNGs, `npz` for an array uint8 (N, H, W, C).
        progress: As for `render_all`.

    Raises:
        StoreError: The output cannot be written, the disk has not enough room, or the folder is
            not empty.
        GenerationError: Pixels are not finite.
        LatentsError: Latents cannot be read.
    """
    first = images.render(next(images.batches()))[
        : images.count
    ]  # to estimate the size of all images
    try:
        if container == "folder":
            check_empty(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        _check_room(output, _bytes_needed(first, images, container), images.count)
        match container:
            case "folder":
                _write_folder(images, output, progress)
            case "zip":
                _write_zip(images, output, progress)
            case "npz":
                _write_array(images, first.shape[1:], output, progress)
    except OSError as error:
        raise not_written(output, error) from error


def check_empty(folder: Path) -> None:
    """Raise StoreError if a folder exists and is not empty; nothing in it is overwritten."""
    if folder.is_dir() and any(folder.iterdir()):
        raise StoreError(f"{folder} is not empty. Choose a new folder, or empty this one.")


def _write_folder(images: Images, output: Path, progress: Progress) -> None:
    with atomic_folder(output) as temporary:

        def write(start: int, pixels: Pixels) -> None:
            for index, image in enumerate(pixels, start):
                (temporary / f"{images.name(index)}.png").write_bytes(to_png(image))

        for _ in map_rendered(images, write, progress):
            pass


def _write_zip(images: Images, output: Path, progress: Progress) -> None:
    def encode(start: int, pixels: Pixels) -> list[tuple[str, bytes]]:
        return [
            (f"{images.name(index)}.png", to_png(image))
            for index, image in enumerate(pixels, start)
        ]

    with (
        atomic_write(output) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for members in map_rendered(images, encode, progress):
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name), content)


def _write_array(images: Images, shape: tuple[int, ...], output: Path, progress: Progress) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (images.count, *shape)}
    with (
        atomic_write(output) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        archive.open(zipfile.ZipInfo(f"{ARRAY}.npy"), "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for pixels in render_all(images, progress):
            member.write(pixels.tobytes())


def _bytes_needed(first: Pixels, images: Images, container: Container) -> int:
    """The approximate size of the output in bytes, from the sizes of its first images."""
    if container == "npz":
        return images.count * int(first[0].nbytes)
    sizes = [len(to_png(image)) for image in first]
    if container == "folder":
        sizes = [-(-each // _BLOCK) * _BLOCK for each in sizes]
    else:
        sizes = [each + _ZIP_ENTRY + 2 * len(images.name(0)) for each in sizes]
    total: int = images.count * sum(sizes) // len(sizes)
    return total


def _check_room(output: Path, needed: int, count: int) -> None:
    free = shutil.disk_usage(output.parent).free
    if needed > free:
        raise StoreError(
            f"{plural(count, 'image')} need about {needed / 1e6:,.0f} MB, but the disk of {output} "
            f"has {free / 1e6:,.0f} MB left.\nChoose another place, or fewer images with -n."
        )
