"""`dcgan probe`: probes of what G and D have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.choices import LARGEST_SEED
from dcgan.cli.format import add_number_columns, borderless_table
from dcgan.cli.options import (
    Checkpoint,
    RunReference,
    Store,
)
from dcgan.cli.output_file import FIGURE_FORMATS, file_with_extension
from dcgan.cli.sampling_options import open_trained_run
from dcgan.cli.stderr import STDERR
from dcgan.run_folder import PLOTS_DIR
from dcgan.store_dir import DEFAULT_STORE
from tracking.clock import now_ms

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.figure import Figure

    from analysis.plots.probes import Mosaic
    from dcgan.config.schema import Config
    from dcgan.run_folder.trained_run import TrainedRun

app = typer.Typer(
    help="Examine what G and D have learnt, with the probes of Radford et al. 2016.",
    rich_markup_mode="rich",
    no_args_is_help=True,
)

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Figure to write, .png, .jpg, .svg or .pdf; by default in the folder 'plots' of the "
        "run.",
        callback=file_with_extension(FIGURE_FORMATS),
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Random seed.")]


def _title(run: TrainedRun) -> str:
    return f"{run.folder.name}, step {run.step:,}"


def _mosaic(config: Config, images: torch.Tensor) -> Mosaic:
    """Images (rows, columns, C, H, W), uint8 or float in [-1, 1], as the run shows them."""
    import torch

    from dcgan.data.scaling import to_uint8

    if images.dtype != torch.uint8:
        images = to_uint8(images)
    shown = 255 - images if config.images.inverted else images
    return shown.permute(0, 1, 3, 4, 2).numpy()


def _save(
    trained_run: TrainedRun,
    name: str,
    figure: Figure,
    output: Path | None,
    values: Mapping[str, float] | None = None,
) -> None:
    """Write the picture, and track it and the values with the run.

    Args:
        trained_run: The run; nothing is tracked if it has a newer checkpoint or is being written.
        name: The probe's name in the paths of its picture and its values.
        figure: The picture.
        output: Where to write it; None for the folder `plots` of the run.
        values: Metrics of the probe, by their names.
    """
    import io

    import numpy as np
    import PIL.Image

    from analysis.plots.style import DOTS_PER_INCH, draw_caption, vector_text
    from dcgan.run_folder.amend import amend
    from tracking.atomic_files import write_output
    from tracking.events import IMAGES, PROBES, Event, Image, Metrics
    from tracking.lock import is_locked

    path = output or trained_run.folder / PLOTS_DIR / f"probe-{name}.png"
    buffer = io.BytesIO()
    draw_caption(figure)
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    file_format = FIGURE_FORMATS[path.suffix.lower()]
    with write_output(path) as temporary:
        if file_format == "png":  # as it is tracked: drawn again, the layout could change
            temporary.write_bytes(buffer.getvalue())
        else:
            with vector_text(name):
                figure.savefig(temporary, format=file_format, dpi=DOTS_PER_INCH)
    console = Console(highlight=False)
    console.print(str(path), soft_wrap=True, markup=False)
    if not trained_run.is_latest:
        console.print("[dim]Not written to the run: there is a newer checkpoint.[/dim]")
        return
    if is_locked(trained_run.folder):
        console.print("[dim]Not written to the run, because another process is writing it.[/dim]")
        return
    now = now_ms()
    pixels = np.asarray(PIL.Image.open(buffer).convert("RGB"))
    events: list[Event] = [Image(f"{IMAGES}/{PROBES}/{name}", trained_run.step, now, pixels)]
    if values:
        columns = {f"{PROBES}/{name}/{key}": [value] for key, value in values.items()}
        events.append(Metrics([trained_run.step], [now], columns))
    amend(trained_run.folder, events)


@app.command()
def features(
    run: RunReference = "last",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Other labelled images: a folder with one folder per class.", show_default=False
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images to test on, in the same form; by default the test split, "
            "or a fifth of the images if there is none.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Most labels per class; 10, 30, 100, ... are tried.")
    ] = 300,
    draws: Annotated[int, typer.Option(min=1, help="Random choices of the labels.")] = 3,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Classify images by D's features with a linear SVM, against three controls.

    Features are all of D's convolutions, max-pooled to 4x4 (section 5.1). The
    controls see the same labels: raw pixels, their principal components, and a
    D with random weights.

    [dim]dcgan probe features last --most 1000
    dcgan probe features last --data cifar10/train --held-out cifar10/test[/dim]
    """
    import pandas as pd

    from analysis.plots.probes import label_efficiency
    from dcgan.cli.progress import ImageProgress
    from dcgan.probes.labelled_images import labelled_images
    from dcgan.probes.linear_probe import compare_feature_spaces, tracked_values

    trained_run = open_trained_run(store, run, checkpoint)
    images = labelled_images(trained_run, data, held_out, seed)
    with ImageProgress() as bars:
        bars.show("classifiers", 0, 100)

        def show(share: float) -> None:
            bars.show("classifiers", round(100 * share), 100)

        accuracies = compare_feature_spaces(trained_run, images, most, draws, seed, show)
    table = pd.DataFrame(accuracies)
    _print_accuracies(table, f"Linear SVM, {draws} draws of the labels. {images.source}")
    note = f"Linear SVM; bands: from the worst to the best of {draws} draws. {images.source}"
    figure = label_efficiency(table, _title(trained_run), note)
    _save(trained_run, "features", figure, output, tracked_values(accuracies))


def _print_accuracies(table: pd.DataFrame, note: str) -> None:
    groups = table.groupby(["space", "dimension", "labels_per_class"], sort=False)["accuracy"]
    summary = groups.agg(["mean", "min", "max"]).reset_index()
    console = Console(highlight=False)
    screen = borderless_table()
    screen.add_column("features of", no_wrap=True)
    add_number_columns(screen, "dimension", "labels per class", "accuracy", "worst", "best")
    for row in summary.to_dict("records"):
        shares = (f"{row[key]:.1%}" for key in ("mean", "min", "max"))
        counts = (f"{row[key]:,}" for key in ("dimension", "labels_per_class"))
        screen.add_row(row["space"], *counts, *shares)
    console.print(screen)
    console.print(f"[dim]{note}[/dim]")


@app.command()
def interpolate(
    run: RunReference = "last",
    rows: Annotated[int, typer.Option(min=1, max=32, help="Walks, one per row.")] = 8,
    columns: Annotated[int, typer.Option(min=2, max=32, help="Images per walk.")] = 10,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Walk between random latents: images that change smoothly are not memorised.

    [dim]dcgan probe interpolate last --rows 4 -o walks.png[/dim]
    """
    from analysis.plots.probes import mosaic_figure
    from dcgan.probes.latent import interpolate as walk

    trained_run = open_trained_run(store, run, checkpoint)
    network = trained_run.config.network
    images = walk(trained_run.generator(), network, rows=rows, columns=columns, seed=seed)
    path = "a great circle" if network.latent_law == "normal" else "a straight line"
    note = f"Each row: images along {path} between two random latents."
    figure = mosaic_figure(_mosaic(trained_run.config, images), _title(trained_run), note)
    _save(trained_run, "interpolation", figure, output)


@app.command()
def arithmetic(
    run: RunReference = "last",
    source: Annotated[str, typer.Option("--from", help="The class to begin with.")] = "4",
    target: Annotated[str, typer.Option("--to", help="The class to go to.")] = "9",
    strength: Annotated[
        float, typer.Option(min=0.5, max=20, help="The largest multiple of the difference.")
    ] = 2.0,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Shift latents from the mean of one class toward that of another.

    The classes of G's images are those that a classifier, trained on the run's
    own images, assigns to them.

    [dim]dcgan probe arithmetic last --from 4 --to 9[/dim]
    """
    if source == target:
        raise typer.BadParameter(
            f"--from and --to are the same class, {source!r}: name two classes."
        )
    from analysis.plots.probes import class_shift
    from dcgan.probes.latent import RANDOM_DIRECTIONS, shift_classes

    trained_run = open_trained_run(store, run, checkpoint)
    with STDERR.status("Drawing and classifying ..."):
        shift, accuracy = shift_classes(trained_run, source, target, strength, seed)
    note = (
        f"Each row: a latent of class {source}, shifted by multiples of the mean latent of class "
        f"{target} less that of {source}. Below: the share of {shift.starts} such latents whose "
        f"image a classifier (accuracy {accuracy:.3f}) takes for {target}. At random: another of "
        f"{RANDOM_DIRECTIONS} random directions for each latent. At its own length the difference "
        f"has rank {shift.rank} of {RANDOM_DIRECTIONS + 1} directions."
    )
    figure = class_shift(
        _mosaic(trained_run.config, shift.images),
        shift.strengths,
        shift.shares,
        shift.control,
        _title(trained_run),
        note,
    )
    values = {
        "share": max(shift.shares),
        "share_at_random": max(shift.control),
        "rank": shift.rank,
    }
    _save(trained_run, "arithmetic", figure, output, values)


@app.command()
def filters(
    run: RunReference = "last",
    count: Annotated[
        int,
        typer.Option("--features", min=1, max=32, help="Features of D's last convolution."),
    ] = 6,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show what D looks for: its first filters, and guided backpropagation of its last features.

    Both beside those of a D with random weights (figure 5 of the paper).

    [dim]dcgan probe filters last[/dim]
    """
    from analysis.plots.probes import filter_figure
    from dcgan.probes.filters import IMAGES_PER_FEATURE, SEARCHED_IMAGES, compare_features

    trained_run = open_trained_run(store, run, checkpoint)
    config = trained_run.config
    networks = compare_features(trained_run, count)
    first = {name: _mosaic(config, features.filters) for name, features in networks.items()}
    last = {name: _mosaic(config, features.responses) for name, features in networks.items()}
    note = (
        "Above: filters of D's first convolution. Below, one row per feature, for the first "
        f"features of its last one: the {IMAGES_PER_FEATURE} training images with the strongest "
        f"response, among {SEARCHED_IMAGES:,} random ones at most, and right of each what in it "
        "raises the response, by guided backpropagation."
    )
    _save(trained_run, "filters", filter_figure(first, last, _title(trained_run), note), output)


@app.command()
def neighbours(
    run: RunReference = "last",
    rows: Annotated[int, typer.Option(min=1, max=32, help="Fakes, one per row.")] = 8,
    count: Annotated[int, typer.Option(min=1, max=10, help="Training images per fake.")] = 5,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show fakes beside their nearest training images, to reveal copies.

    [dim]dcgan probe neighbours last --rows 4[/dim]
    """
    from analysis.plots.probes import neighbour_figure
    from dcgan.probes.nearest_images import find_copies

    trained_run = open_trained_run(store, run, checkpoint)
    with STDERR.status("Searching ..."):
        neighbours, space = find_copies(trained_run, rows, count, seed)
    ratios = neighbours.distance_ratios
    note = (
        f"Features: {space.description}. The median distance of these fakes to their nearest "
        "training image, divided by that of training images to theirs: "
        + ", ".join(f"{ratio:.2f} by {name}" for name, ratio in ratios.items())
        + "; near 0 is a copy."
    )
    config = trained_run.config
    nearest = {name: _mosaic(config, images) for name, images in neighbours.nearest.items()}
    fakes = _mosaic(config, neighbours.fakes[:, None])
    figure = neighbour_figure(fakes, nearest, _title(trained_run), note)
    values = {f"{name}_distance_ratio": ratio for name, ratio in ratios.items()}
    _save(trained_run, "neighbours", figure, output, values)
