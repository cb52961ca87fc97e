"""Exports a run's generator, with a model card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcgan.choices import Weights
from dcgan.export.description import Description, ExportError
from dcgan.export.formats import FORMATS, Encoded, encode
from dcgan.export.model_card import CARD_FILE, SAMPLES_FILE, files_of_card, model_card, read_mark
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples.grid_file import arrange
from dcgan.samples.latents import of_seed
from dcgan.samples.pixels import images_of
from tracking.atomic_files import write_output
from tracking.png import to_png

_SAMPLES, _COLUMNS = 64, 8


@dataclass(frozen=True)
class Export:
    """An exported generator.

    Attributes:
        files: All files that were written, the generator's first.
        description: What the generator is.
        encoded: The content of its file, and how it was checked.
    """

    files: tuple[Path, ...]
    description: Description
    encoded: Encoded


def export_run(
    run: TrainedRun, output: Path, *, weights: Weights | None = None, card: bool = True
) -> Export:
    """Write a run's generator, and a model card for the Hugging Face Hub.

    Args:
        run: The run at a checkpoint, on the CPU.
        output: The file; its extension is one of FORMATS. It is complete or absent, and its folder
            is made if it is missing.
        weights: `current` for G, `ema` for its moving average; if omitted, those that the run's
            own grids use.
        card: Whether to write README.md, and the grid that it shows, beside the file.

    Raises:
        ExportError: A package is missing, the file computes other images than G, or there is a
            README.md or a samples.png of something else.
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
        # The card first, which marks the picture as one of dcgan export.
        contents[card_file] = model_card(run, description, names).encode()
        contents[output.parent / SAMPLES_FILE] = to_png(grid)
    for path, content in contents.items():
        with write_output(path) as temporary:
            temporary.write_bytes(content)
    return Export(tuple(contents), description, encoded)


def _files_to_describe(card_file: Path, description: Description, output: Path) -> list[str]:
    """The exported files of this generator in the folder, including the new one."""
    picture = card_file.parent / SAMPLES_FILE
    if not card_file.exists() and not picture.exists():
        return [output.name]
    try:
        mark = read_mark(card_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        mark = None  # of a folder without a card, too
    advice = (
        f"Choose a folder of its own, such as -o {description.run}/{output.name}, or leave the "
        "card out with --no-card."
    )
    if mark is None:
        foreign = card_file if card_file.exists() else picture
        raise ExportError(f"{foreign} exists, and was not written by dcgan export.\n{advice}")
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
