"""`dcgan probe`: what G and D have learnt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
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

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from torch import nn

    from analysis.plots.probes import Mosaic
    from dcgan.config.schema import Config
    from dcgan.data.image_set import ImageSet
    from dcgan.training.checkpoint import State

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


@dataclass(frozen=True, eq=False)
class _Subject:
    """A run that is probed. is_last: whether its journal can still take what is found."""

    folder: Path
    config: Config
    state: State
    step: int
    is_last: bool

    @property
    def title(self) -> str:
        return f"{self.folder.name}, step {self.step:,}"

    def generator(self) -> nn.Module:
        from dcgan.run_folder.trained_run import restored_generator

        return restored_generator(self.config, self.state, self.config.images.weights)

    def discriminator(self) -> nn.Sequential:
        from dcgan.run_folder.trained_run import restored_discriminator

        return restored_discriminator(self.config, self.state)

    def untrained_discriminator(self) -> nn.Sequential:
        """Of other weights than those that the training began with."""
        from dcgan.models import build_networks

        return build_networks(self.config, self.config.seed + 1)[1]

    def images(self) -> ImageSet:
        from dcgan.run_folder.trained_run import images_of

        return images_of(self.folder, self.config)

    def mosaic(self, images: torch.Tensor) -> Mosaic:
        """Images (rows, columns, C, H, W), uint8 or floats in [-1, 1], as the run shows them."""
        import torch

        if images.dtype != torch.uint8:
            images = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        shown = 255 - images if self.config.images.inverted else images
        return shown.permute(0, 1, 3, 4, 2).numpy()


def _subject(run: str, checkpoint: str, store: Path) -> _Subject:
    import torch

    from dcgan.run_folder.trained_run import config_of
    from dcgan.training.checkpoint import (
        CHECKPOINT_FOLDER,
        checkpoint_step,
        find_checkpoint,
        load_checkpoint,
    )
    from tracking.store import find_run

    folder = find_run(store, run)
    config = config_of(folder)
    path = find_checkpoint(folder / CHECKPOINT_FOLDER, parse_checkpoint(checkpoint))
    last = find_checkpoint(folder / CHECKPOINT_FOLDER)
    state = load_checkpoint(path, torch.device("cpu"))
    return _Subject(folder, config, state, checkpoint_step(path), path == last)


def _keep(
    subject: _Subject,
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
    from tracking.atomic_files import replacing
    from tracking.errors import StoreError
    from tracking.events import IMAGES, PROBES, Event, Image, Metrics

    path = output or subject.folder / "plots" / f"probe-{name}.png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
    console = Console(highlight=False)
    console.print(str(path), soft_wrap=True)
    if not subject.is_last:
        console.print("[dim]Not written to the run: there is a newer checkpoint.[/dim]")
        return
    now = time.time_ns() // 1_000_000
    pixels = np.asarray(PIL.Image.open(buffer).convert("RGB"))
    events: list[Event] = [Image(f"{IMAGES}/{PROBES}/{name}", subject.step, now, pixels)]
    if values:
        named = {f"{PROBES}/{name}/{key}": [value] for key, value in values.items()}
        events.append(Metrics([subject.step], [now], named))
    amend(subject.folder, events)


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

    subject = _subject(run, checkpoint, store)
    known = labelled_images(subject.config, subject.images, data, held_out, seed)
    with Console(stderr=True).status("Computing features and fitting classifiers ..."):
        parts = (known.train.pixels, known.test.pixels)
        pixels = tuple(map(pixel_features, parts))
        components = principal_components(pixels[0])
        trained, untrained = (
            tuple(convolutional_features(network, each) for each in parts)
            for network in (subject.discriminator(), subject.untrained_discriminator())
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
    figure = label_efficiency(table, subject.title, note)
    top = table[table["labels"] == counts[-1]].groupby("features")["accuracy"].mean()
    names = {
        "D": "discriminator",
        "D, random weights": "random_discriminator",
        "principal components": "principal_components",
        "pixels": "pixels",
    }
    values = {f"{names[name]}_accuracy": float(top[name]) for name in names}
    _keep(subject, "features", figure, output, values | {"labels_a_class": counts[-1]})


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

    subject = _subject(run, checkpoint, store)
    network = subject.config.network
    images = walk(subject.generator(), network, rows=rows, columns=columns, seed=seed)
    way = "great circles" if network.latent_law == "normal" else "straight lines"
    note = f"Each row: images on a way between two random latents, on {way}."
    figure = mosaic_figure(subject.mosaic(images), subject.title, note)
    _keep(subject, "interpolation", figure, output)


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
    from dcgan.evaluation.features.classifier import load_classifier
    from dcgan.probes.labelled_images import number_of_class
    from dcgan.probes.latent import arithmetic as shift

    subject = _subject(run, checkpoint, store)
    images = subject.images()
    first, second = (number_of_class(images, name) for name in (source, target))
    classifier = load_classifier(images, torch.device("cpu"))

    def classify(made: torch.Tensor) -> torch.Tensor:
        return classifier.classes(made.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8))

    strengths = [strength * number / 8 for number in range(9)]
    with Console(stderr=True).status("Drawing and classifying ..."):
        found = shift(
            subject.generator(),
            subject.config.network,
            classify,
            source=first,
            target=second,
            strengths=strengths,
            rows=6,
            seed=seed,
        )
    note = (
        f"Each row: a latent of class {source}, shifted by multiples of the mean latent of class "
        f"{target} less that of {source}. Below: the share of {found.starts} such latents whose "
        f"image a classifier (accuracy {classifier.accuracy:.3f}) takes for {target}."
    )
    shown = subject.mosaic(found.images)
    figure = class_shift(shown, strengths, found.shares, found.control, subject.title, note)
    values = {"share": max(found.shares), "share_at_random": max(found.control)}
    _keep(subject, "arithmetic", figure, output, values)


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

    subject = _subject(run, checkpoint, store)
    every = subject.images().pixels
    # At random, for a folder's images lie in the order of their classes.
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    pixels = every[order[:2_000]]
    networks = {
        "trained D": subject.discriminator(),
        "random weights": subject.untrained_discriminator(),
    }

    def scaled(values: torch.Tensor) -> torch.Tensor:
        """To [-1, 1], each filter or gradient by its own largest value."""
        return values / values.abs().amax((-3, -2, -1), keepdim=True).clamp_min(1e-12)

    first, last = {}, {}
    for name, network in networks.items():
        weights = scaled(first_filters(network))[:32]
        columns = min(8, len(weights))
        first[name] = subject.mosaic(
            weights[: len(weights) // columns * columns].unflatten(0, (-1, columns))
        )
        found = strongest_responses(network, pixels, features=count, images=4)
        pairs = torch.stack([found.images, scaled(found.gradients)], dim=2).flatten(1, 2)
        last[name] = subject.mosaic(pairs)
    note = (
        "Above: filters of D's first convolution. Below, a row for each of the first features of "
        "its last one: the four of 2,000 random images with the strongest response, and right of "
        "each what in it raises the response, by guided backpropagation."
    )
    _keep(subject, "filters", filter_figure(first, last, subject.title, note), output)


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

    subject = _subject(run, checkpoint, store)
    images, cpu = subject.images(), torch.device("cpu")
    with Console(stderr=True).status("Searching ..."):
        space = feature_space(images, cpu)
        draw = partial(draw_pixels, subject.generator(), subject.config.network, cpu)
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
    nearest = {name: subject.mosaic(each) for name, each in found.nearest.items()}
    figure = neighbour_figure(subject.mosaic(fakes[:, None]), nearest, subject.title, note)
    values = {f"{name}_distance_ratio": ratio for name, ratio in ratios.items()}
    _keep(subject, "neighbours", figure, output, values)
