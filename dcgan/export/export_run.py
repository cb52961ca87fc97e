"""Exports a run's generator, with a model card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcgan.export.description import Description, ExportError
from dcgan.export.formats import FORMATS, Encoded, encode
from dcgan.export.model_card import CARD_FILE, SAMPLES_FILE, files_of_card, model_card, read_mark
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples.grid_file import arrange
from dcgan.samples.latents import of_seed
from dcgan.samples.pixels import images_of
from dcgan.sampling import Weights
from tracking.atomic_files import atomic_write
from tracking.errors import not_written
from tracking.png import to_png

_SAMPLES, _COLUMNS = 64, 8


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        files: All that were written, the generator's first.
        description: Of the generator.
        encoded: Its content, and how it was checked.
    """

    files: tuple[Path, ...]
    description: Description
    encoded: Encoded


def export_run(
    run: TrainedRun, output: Path, *, weights: Weights | None = None, card: bool = True
) -> Export:
    """Write a run's generator, and the card of a model as the Hugging Face Hub reads it.

    Args:
        run: The run at a checkpoint, on the CPU.
        output: The file; its ending is one of FORMATS. It is complete or absent, and its folder
            is made if it is missing.
        weights: `current` for G, `ema` for its moving average; if omitted, those that the run's
            own grids use.
        card: Whether to write README.md and the grid that it shows beside the file.

    Raises:
        ExportError: A package is missing, the file computes other images than G, or there is a
            README.md of something else.
        ConfigError: `weights` is `ema`, but the run has no moving average.
        GenerationError: Pixels are not finite.
        StoreError: A file cannot be written.
    """
    description = Description.of_run(run, weights)
    card_file = output.parent / CARD_FILE
    names = _files_to_describe(card_file, description, output) if card else []
    encoded = encode(run.generator(weights).eval(), description, output.suffix.lower())
    contents = {output: encoded.content}
    if card:
        latents = of_seed(run.config.network, 0, _SAMPLES)
        grid = arrange(
            images_of(run, latents, weights=weights), _COLUMNS, inverted=run.config.images.inverted
        )
        contents[output.parent / SAMPLES_FILE] = to_png(grid)
        contents[card_file] = model_card(run, description, names).encode()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise not_written(output, error) from error
    return Export(tuple(contents), description, encoded)


def _files_to_describe(card_file: Path, description: Description, output: Path) -> list[str]:
    """The exported files in the folder, of the same generator, with the new one."""
    if not card_file.exists():
        return [output.name]
    try:
        mark = read_mark(card_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        mark = None
    advice = (
        f"Choose a folder of its own, such as -o {description.run}/{output.name}, or leave the "
        "card out with --no-card."
    )
    if mark is None:
        raise ExportError(f"{card_file} is there already, and no card of dcgan export.\n{advice}")
    others = [
        name
        for name in files_of_card(mark)
        if name != output.name and (card_file.parent / name).exists()
    ]
    same = (mark.get("run"), mark.get("step"), mark.get("weights")) == (
        description.run,
        description.step,
        description.weights,
    )
    if others and not same:
        raise ExportError(
            f"{card_file} describes another generator, in {', '.join(others)}.\n{advice}"
        )
    return sorted({*others, output.name})


__all__ = ["FORMATS", "Export", "export_run"]
