"""`dcgan export`: writes a run's generator for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dcgan.cli.format import size
from dcgan.cli.options import Checkpoint, RunReference, Store
from dcgan.cli.output_file import file_with_extension
from dcgan.cli.sampling_options import GeneratorWeights, open_trained_run
from dcgan.store_dir import DEFAULT_STORE


def export(
    run: RunReference = "last",
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="File to write: .onnx, .safetensors, or .pt2 of torch.export.",
            callback=file_with_extension((".onnx", ".safetensors", ".pt2")),
        ),
    ] = Path("export/generator.safetensors"),
    checkpoint: Checkpoint = "last",
    weights: GeneratorWeights = None,
    card: Annotated[
        bool,
        typer.Option(
            "--card/--no-card",
            help="Whether to write README.md, a model card, and samples.png beside the file.",
        ),
    ] = True,
    store: Store = DEFAULT_STORE,
) -> None:
    """Export a run's generator, check the file against PyTorch, and write a model card.

    The card is written from the run's journal, in the form that the Hugging Face
    Hub reads: data, recipe, scores beside those of real images, limits, and a
    grid. It never replaces a README.md or a samples.png of something else.

    [dim]dcgan export last -o export/generator.onnx
    dcgan export last --checkpoint best -o export/generator.safetensors[/dim]
    """
    from dcgan.export.export_run import export_run
    from dcgan.export.formats import OPSET

    trained_run = open_trained_run(store, run, checkpoint)
    exported = export_run(trained_run, output, weights=weights, card=card)
    description, encoded = exported.description, exported.encoded
    opset = f", opset {OPSET}" if output.suffix.lower() == ".onnx" else ""
    difference = (
        f"Not checked: {encoded.checked_with}"
        if encoded.largest_difference is None
        else f"Largest difference from PyTorch: {encoded.largest_difference:.2g} "
        f"({encoded.checked_with}), of images in [-1, 1]"
    )
    lines = [
        f"{output} ({size(len(encoded.content))}{opset}): the generator of {description.run} at "
        f"step {description.step:,}",
        f"  latents  {description.input}",
        f"  images   {description.output}",
        difference,
    ]
    if card:
        lines.append("Model card: " + ", ".join(map(str, exported.files[1:])))
    for line in lines:
        Console(highlight=False).print(line, soft_wrap=True, markup=False)
