"""`dcgan data`: shows the data of a training without training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters, print_json, size
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.options import (
    CONFIGURATION_PANEL,
    Download,
    Json,
    Settings,
    complete_recipe,
    parse_overrides,
)
from dcgan.cli.output_file import PIL_FORMATS, file_with_extension
from dcgan.cli.terminal_picture import Pictures, drawing_of, first_images
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.config.schema import Config
    from dcgan.data.image_set import ImageSet

_MAX_CLASSES, _MAX_UNREADABLE, _PICTURE_LINES = 12, 5, 24
_ALL = 10**9
_PLAIN = "celeba"
"""The recipe whose size and channels images get by default: 64x64, RGB, cropped."""


def _parse_size(text: str | None) -> list[int] | None:
    """`64`, or width and height as in `96x64`, to a value of dataset.image_size."""
    from dcgan.config.image_size import SIZES, is_size

    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not width.isdecimal() or not (height or width).isdecimal():
        raise typer.BadParameter(f"{text!r} is not a size. Write 64, or width and height: 96x64.")
    sides = [int(height or width), int(width)]
    if not is_size(sides):
        raise typer.BadParameter(f"{text}: it should be {SIZES}, as width x height: 96x64.")
    return sides


def data(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A folder of images, or a file with images; if omitted, the recipe's own set.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="The recipe to train them with; if omitted, 64x64, RGB, cropped.",
            autocompletion=complete_recipe,
            show_default=False,
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    sides: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="PIXELS",
            help="Size to train at: 64, or width and height as 96x64.",
            show_default=False,
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            help="1 for grey, 3 for RGB.", show_default=False, rich_help_panel=CONFIGURATION_PANEL
        ),
    ] = None,
    settings: Settings = None,
    download: Download = False,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=4096, help="Images on the sheet.")
    ] = 64,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Sheet of images as the networks see them: .png, .jpg, .webp, .tif or .bmp.",
            callback=file_with_extension(PIL_FORMATS),
            show_default=False,
        ),
    ] = None,
    pictures: Pictures = "auto",
    as_json: Json = False,
) -> None:
    """Show the data of a training: counts, sizes, classes, copies and unreadable files.

    The images are decoded into the cache, so that training on them starts at
    once. Nothing is trained or tracked, and unreadable files are skipped.

    [dim]dcgan data ~/faces
    dcgan data images.zip --size 96x64 -o sheet.png
    dcgan data ~/mnist --recipe mnist-ablation --json[/dim]
    """
    from dcgan.config.loading import Override
    from dcgan.data.dataset_warnings import dataset_warnings
    from dcgan.data.loading import load_images
    from dcgan.jobs.other_images import few_steps_warning
    from dcgan.jobs.overrides import configure

    if path is None and recipe is None:
        raise typer.BadParameter("Give a PATH, or a recipe with --recipe.")
    overrides = parse_overrides(settings, channels=channels)
    if (image_size := _parse_size(sides)) is not None:
        overrides.append(Override("dataset.image_size", image_size, f"--size {sides}"))
    config = configure(recipe or _PLAIN, overrides, path)
    dataset = config.dataset.model_copy(update={"max_unreadable": _ALL})
    images = load_images(dataset, download=download)
    if output is not None:
        _write_sheet(images, count, output)
    warnings = [*dataset_warnings(images.card)]
    if recipe is not None and (few_steps := few_steps_warning(config, images.card.size)):
        warnings.append(few_steps)
    if as_json:
        print_json(_as_tree(images, config, warnings))
        return
    console = Console(highlight=False)
    _print(images, config, warnings, console)
    if output is not None:
        console.print(
            f"\n{output}: a sheet of the images as trained on", soft_wrap=True, markup=False
        )
    drawing = drawing_of(console, pictures) if console.is_terminal else None
    if drawing is not None:
        grid, room = _sheet(images, count).convert("RGB"), (console.width, _PICTURE_LINES)
        console.print()
        console.print(first_images(grid, config.dataset.sides, room, drawing))


def _sheet(images: ImageSet, count: int) -> Any:
    from PIL import Image

    from dcgan.data.batches import some_images
    from dcgan.data.scaling import to_unit_range
    from dcgan.sampling import image_grid

    grid = image_grid(to_unit_range(some_images(images.pixels, count)))
    return Image.fromarray(grid.squeeze())


def _write_sheet(images: ImageSet, count: int, output: Path) -> None:
    from tracking.atomic_files import write_output

    with write_output(output) as temporary:
        _sheet(images, count).save(temporary, format=PIL_FORMATS[output.suffix.lower()])


def _unreadable(images: ImageSet) -> int:
    """How many files could not be read; the dataset card lists the first of them."""
    return 0 if images.file_statistics is None else images.file_statistics.unreadable


def _as_tree(images: ImageSet, config: Config, warnings: Sequence[str]) -> dict[str, Any]:
    card, files = images.card, images.file_statistics
    return {
        "path": card.path,
        "images": card.size,
        "image_size": list(config.dataset.sides),
        "channels": config.dataset.channels,
        "transforms": card.transforms,
        "bytes": images.pixels.nbytes,
        "kinds": {} if files is None else files.kinds,
        "widths": {} if files is None else dict(sorted(files.widths.items())),
        "heights": {} if files is None else dict(sorted(files.heights.items())),
        "classes": dict(zip(card.classes, card.class_sizes, strict=True)),
        "mean": list(card.mean),
        "std": list(card.std),
        "duplicates": card.duplicates,
        "paged": card.paged,
        "unreadable": _unreadable(images),
        "first_unreadable": list(card.skipped),
        "not_images": dict(images.left_out),
        "doubts": list(warnings),
        "fingerprint": card.fingerprint,
    }


def _print(images: ImageSet, config: Config, warnings: Sequence[str], console: Console) -> None:
    console.print(Text(escape_control_characters(images.card.path), style="bold"), soft_wrap=True)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(images, config):
        table.add_row(name, Text(escape_control_characters(value)))
    console.print(table)
    for warning in warnings:
        print_indented(console, escape_control_characters(warning), "yellow")


def _rows(images: ImageSet, config: Config) -> Iterator[tuple[str, str]]:
    from dcgan.config.image_size import size_in_words
    from dcgan.data.file_statistics import kind_in_words, range_in_words
    from dcgan.data.sources.file_extensions import extensions_in_words

    card, files, dataset = images.card, images.file_statistics, config.dataset
    yield "images", f"{card.size:,} of {size_in_words(dataset.image_size)}, {dataset.colours}"
    yield "transforms", card.transforms
    yield "memory", size(images.pixels.nbytes)
    if files is not None:
        yield "widths", range_in_words(files.widths)
        yield "heights", range_in_words(files.heights)
        kinds = sorted(files.kinds.items(), key=lambda item: -item[1])
        yield "files", ", ".join(f"{kind_in_words(kind)} {count:,}" for kind, count in kinds)
    if card.classes:
        named = [f"{name} {n:,}" for name, n in zip(card.classes, card.class_sizes, strict=True)]
        more = f" and {len(named) - _MAX_CLASSES} more" if len(named) > _MAX_CLASSES else ""
        yield "classes", f"{len(named)}: {', '.join(named[:_MAX_CLASSES])}{more}"
    else:
        yield "classes", "none"
    yield "mean", ", ".join(f"{value:.3f}" for value in card.mean) + "  (of -1 to 1)"
    yield "std", ", ".join(f"{value:.3f}" for value in card.std)
    yield "duplicates", f"{card.duplicates:,}"
    if card.paged:
        yield "pages", f"{plural(card.paged, 'file')} with several, of which the first is taken"
    unreadable = _unreadable(images)
    yield "unreadable", f"{unreadable:,}"
    for file in card.skipped[:_MAX_UNREADABLE]:
        yield "", file
    if unreadable:
        yield "", f"To train without them: --set dataset.max_unreadable={unreadable}"
    if images.left_out:
        yield "not images", extensions_in_words(images.left_out)
