"""`dcgan probe`: what G and D have learnt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from dcgan.cli.options import (
    DEFAULT_STORE,
    Checkpoint,
    RunReference,
    Store,
    parse_checkpoint,
)
from tracking.clock import now_ms

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from analysis.plots.probes import Mosaic
    from dcgan.config.schema import Config
    from dcgan.run_folder.trained_run import TrainedRun

app = typer.Typer(
    help="See what G and D have learnt: the probes of Radford et al. 2016.",
    rich_markup_mode="rich",
    no_args_is_help=True,
)

Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="The picture to write; by default in the run's folder 'plots'.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")]


def _open(run: str, checkpoint: str, store: Path) -> TrainedRun:
    from dcgan.run_folder.trained_run import TrainedRun
    from tracking.store import find_run

    return TrainedRun.open(find_run(store, run), parse_checkpoint(checkpoint))


def _title(run: TrainedRun) -> str:
    return f"{run.folder.name}, step {run.step:,}"


def _untrained_discriminator(config: Config) -> nn.Sequential:
    """Of other weights than those that the training began with."""
    from dcgan.models import build_networks

    return build_networks(config, config.seed + 1)[1]


def _mosaic(config: Config, images: torch.Tensor) -> Mosaic:
    """Images (rows, columns, C, H, W), uint8 or floats in [-1, 1], as the run shows them."""
    import torch

    from dcgan.data.scaling import to_uint8

    if images.dtype != torch.uint8:
        images = to_uint8(images)
    shown = 255 - images if config.images.inverted else images
    return shown.permute(0, 1, 3, 4, 2).numpy()


def _keep(
    trained_run: TrainedRun,
    name: str,
    figure: Figure,
    output: Path | None,
    values: Mapping[str, float] | None = None,
) -> None:
    """Write the picture, and track it and the values with the run."""
    import io

    import numpy as np
    import PIL.Image

    from analysis.plots.style import DOTS_PER_INCH
    from dcgan.run_folder.amend import amend
    from tracking.atomic_files import atomic_write
    from tracking.errors import StoreError
    from tracking.events import IMAGES, PROBES, Event, Image, Metrics

    path = output or trained_run.folder / "plots" / f"probe-{name}.png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    console = Console(highlight=False)
    console.print(str(path), soft_wrap=True)
    if not trained_run.is_latest:
        console.print("[dim]Not written to the run: there is a newer checkpoint.[/dim]")
        return
    now = now_ms()
    pixels = np.asarray(PIL.Image.open(buffer).convert("RGB"))
    events: list[Event] = [Image(f"{IMAGES}/{PROBES}/{name}", trained_run.step, now, pixels)]
    if values:
        named = {f"{PROBES}/{name}/{key}": [value] for key, value in values.items()}
        events.append(Metrics([trained_run.step], [now], named))
    amend(trained_run.folder, events)


@app.command()
def features(
    run: RunReference = "last",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Other labelled images: a folder with one folder a class.", show_default=False
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images to test on, in the same form; by default the test split, "
            "or a fifth of the images.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Labels a class at most; 10, 30, 100, ... up to it.")
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
    from dcgan.probes.labelled_images import labelled_images
    from dcgan.probes.linear_probe import (
        convolutional_features,
        linear_accuracies,
        pixel_features,
        principal_components,
    )

    trained_run = _open(run, checkpoint, store)
    known = labelled_images(trained_run.config, trained_run.images, data, held_out, seed)
    with Console(stderr=True).status("Computing features and fitting classifiers ..."):
        parts = (known.train.pixels, known.test.pixels)
        pixels = tuple(map(pixel_features, parts))
        components = principal_components(pixels[0])
        trained, untrained = (
            tuple(convolutional_features(network, each) for each in parts)
            for network in (
                trained_run.discriminator(),
                _untrained_discriminator(trained_run.config),
            )
        )
        spaces = {
            "D": trained,
            "D, random weights": untrained,
            "principal components": tuple(map(components, pixels)),
            "pixels": pixels,
        }
        smallest = min(size for size in known.train.card.class_sizes if size)
        counts = [
            count
            for decade in range(1, 7)
            for count in (10**decade, 3 * 10**decade)
            if count <= min(most, smallest)
        ] or [min(most, smallest)]
        found = linear_accuracies(
            {name: (each[0], each[1]) for name, each in spaces.items()},
            known.train_labels,
            known.test_labels,
            counts,
            draws,
            seed,
        )
    table = pd.DataFrame(found)
    grouped = table.groupby(["features", "size", "labels"], sort=False)["accuracy"]
    summary = grouped.agg(["mean", "min", "max"]).reset_index()
    console = Console(highlight=False)
    screen = Table(box=None, header_style="bold", pad_edge=False)
    screen.add_column("features of", no_wrap=True)
    for column in ("numbers", "labels a class", "accuracy", "worst", "best"):
        screen.add_column(column, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        shares = (f"{row[key]:.1%}" for key in ("mean", "min", "max"))
        screen.add_row(row["features"], f"{row['size']:,}", f"{row['labels']:,}", *shares)
    console.print(screen)
    console.print(f"[dim]Linear SVM, {draws} draws of the labels. {known.source}[/dim]")
    note = f"Linear SVM; bands: the worst and the best of {draws} draws. {known.source}"
    figure = label_efficiency(table, _title(trained_run), note)
    top = table[table["labels"] == counts[-1]].groupby("features")["accuracy"].mean()
    names = {
        "D": "discriminator",
        "D, random weights": "random_discriminator",
        "principal components": "principal_components",
        "pixels": "pixels",
    }
    values = {f"{names[name]}_accuracy": float(top[name]) for name in names}
    _keep(trained_run, "features", figure, output, values | {"labels_a_class": counts[-1]})


@app.command()
def interpolate(
    run: RunReference = "last",
    rows: Annotated[int, typer.Option(min=1, max=32, help="Ways.")] = 8,
    columns: Annotated[int, typer.Option(min=2, max=32, help="Images on each.")] = 10,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Walk between random latents: images that change smoothly are not learnt by heart.

    [dim]dcgan probe interpolate last --rows 4 -o ways.png[/dim]
    """
    from analysis.plots.probes import mosaic_figure
    from dcgan.probes.latent import interpolate as walk

    trained_run = _open(run, checkpoint, store)
    network = trained_run.config.network
    images = walk(trained_run.generator(), network, rows=rows, columns=columns, seed=seed)
    way = "great circles" if network.latent_law == "normal" else "straight lines"
    note = f"Each row: images on a way between two random latents, on {way}."
    figure = mosaic_figure(_mosaic(trained_run.config, images), _title(trained_run), note)
    _keep(trained_run, "interpolation", figure, output)


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

    Classes are those that a classifier, trained on the run's own images, sees
    in G's.

    [dim]dcgan probe arithmetic last --from 4 --to 9[/dim]
    """
    import torch

    from analysis.plots.probes import class_shift
    from dcgan.data.scaling import to_uint8
    from dcgan.evaluation.features.classifier import load_classifier
    from dcgan.probes.labelled_images import number_of_class
    from dcgan.probes.latent import arithmetic as shift

    trained_run = _open(run, checkpoint, store)
    images = trained_run.images()
    first, second = (number_of_class(images, name) for name in (source, target))
    classifier = load_classifier(images, torch.device("cpu"))

    def classify(made: torch.Tensor) -> torch.Tensor:
        return classifier.classes(to_uint8(made))

    strengths = [strength * number / 8 for number in range(9)]
    with Console(stderr=True).status("Drawing and classifying ..."):
        found = shift(
            trained_run.generator(),
            trained_run.config.network,
            classify,
            from_class=first,
            to_class=second,
            strengths=strengths,
            rows=6,
            seed=seed,
        )
    note = (
        f"Each row: a latent of class {source}, shifted by multiples of the mean latent of class "
        f"{target} less that of {source}. Below: the share of {found.starts} such latents whose "
        f"image a classifier (accuracy {classifier.accuracy:.3f}) takes for {target}."
    )
    shown = _mosaic(trained_run.config, found.images)
    figure = class_shift(shown, strengths, found.shares, found.control, _title(trained_run), note)
    values = {"share": max(found.shares), "share_at_random": max(found.control)}
    _keep(trained_run, "arithmetic", figure, output, values)


@app.command()
def filters(
    run: RunReference = "last",
    count: Annotated[int, typer.Option("--features", min=1, max=32, help="Of D, shown.")] = 6,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show what D looks for: its first filters, and guided backpropagation of its last features.

    Each beside a D with random weights (figure 5 of the paper).

    [dim]dcgan probe filters last[/dim]
    """
    import torch

    from analysis.plots.probes import filter_figure
    from dcgan.probes.filters import first_filters, strongest_responses

    trained_run = _open(run, checkpoint, store)
    every = trained_run.images().pixels
    # At random, for a folder's images lie in the order of their classes.
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    pixels = every[order[:2_000]]
    networks = {
        "trained D": trained_run.discriminator(),
        "random weights": _untrained_discriminator(trained_run.config),
    }

    def scaled(values: torch.Tensor) -> torch.Tensor:
        """To [-1, 1], each filter or gradient by its own largest value."""
        return values / values.abs().amax((-3, -2, -1), keepdim=True).clamp_min(1e-12)

    first, last = {}, {}
    for name, network in networks.items():
        weights = scaled(first_filters(network))[:32]
        columns = min(8, len(weights))
        first[name] = _mosaic(
            trained_run.config,
            weights[: len(weights) // columns * columns].unflatten(0, (-1, columns)),
        )
        found = strongest_responses(network, pixels, features=count, images=4)
        pairs = torch.stack([found.images, scaled(found.gradients)], dim=2).flatten(1, 2)
        last[name] = _mosaic(trained_run.config, pairs)
    note = (
        "Above: filters of D's first convolution. Below, a row for each of the first features of "
        "its last one: the four of 2,000 random images with the strongest response, and right of "
        "each what in it raises the response, by guided backpropagation."
    )
    _keep(trained_run, "filters", filter_figure(first, last, _title(trained_run), note), output)


@app.command()
def neighbours(
    run: RunReference = "last",
    rows: Annotated[int, typer.Option(min=1, max=32, help="Fakes.")] = 8,
    count: Annotated[int, typer.Option(min=1, max=10, help="Training images a fake.")] = 5,
    seed: Seed = 0,
    checkpoint: Checkpoint = "last",
    output: Output = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Show fakes beside the training images that are nearest to them: is anything copied?

    [dim]dcgan probe neighbours last --rows 4[/dim]
    """
    import torch

    from analysis.plots.probes import neighbour_figure
    from dcgan.evaluation.features.feature_space import feature_space
    from dcgan.probes.nearest_images import nearest_training_images
    from dcgan.sampling import draw_pixels

    trained_run = _open(run, checkpoint, store)
    images, cpu = trained_run.images(), torch.device("cpu")
    with Console(stderr=True).status("Searching ..."):
        space = feature_space(images, cpu)
        draw = partial(draw_pixels, trained_run.generator(), trained_run.config.network, cpu)
        fakes = draw(rows, seed)
        found = nearest_training_images(fakes, images.pixels, space.features, "features", count)
        near = {name: each[:, 0].median().item() for name, each in found.distances.items()}
    ratios = {name: near[name] / found.typical[name] for name in near}
    note = (
        f"Features: {space.description}. The median distance of these fakes to their nearest, over "
        "that of training images to theirs: "
        + ", ".join(f"{ratio:.2f} by {name}" for name, ratio in ratios.items())
        + "; near 0 is a copy."
    )
    nearest = {name: _mosaic(trained_run.config, each) for name, each in found.nearest.items()}
    figure = neighbour_figure(
        _mosaic(trained_run.config, fakes[:, None]), nearest, _title(trained_run), note
    )
    values = {f"{name}_distance_ratio": ratio for name, ratio in ratios.items()}
    _keep(trained_run, "neighbours", figure, output, values)
