"""`dcgan train` and `dcgan resume`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.cli.options import (
    DEFAULT_STORE,
    BatchSize,
    Data,
    Device,
    Download,
    Epochs,
    Precision,
    RunReference,
    Settings,
    Steps,
    Store,
    Trackers,
    overrides,
    place,
)
from dcgan.cpu.allocator import keep_memory

if TYPE_CHECKING:
    from dcgan.jobs.prepare import Job
    from dcgan.jobs.run import TrainingResult

EXIT_INTERRUPTED = 130


def _recipe_names() -> list[str]:
    from dcgan.config.loading import recipe_names

    return recipe_names()


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe by name, or the path of a recipe's .toml file.",
            autocompletion=_recipe_names,
        ),
    ] = "digits",
    lr: Annotated[
        float | None, typer.Option(help="Adam's learning rate.", rich_help_panel="Configuration")
    ] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of weights, data order and latents alike.", rich_help_panel="Configuration"
        ),
    ] = None,
    weight_init: Annotated[
        bool | None,
        typer.Option(
            "--weight-init/--no-weight-init",
            help="DCGAN's N(0, 0.02) weights, or PyTorch's own.",
            rich_help_panel="Configuration",
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Measure how good the images are, at the end too, and keep the best checkpoint.",
            rich_help_panel="Configuration",
        ),
    ] = None,
    precision: Precision = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile",
            help="Use torch.compile if 20 steps with and without it say that it pays.",
            rich_help_panel="Configuration",
        ),
    ] = None,
    data: Data = None,
    download: Download = False,
    settings: Settings = None,
    tracker: Trackers = None,
    name: Annotated[
        str | None, typer.Option(help="What you call the run.", rich_help_panel="Tracking")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A set that the run is in.", rich_help_panel="Tracking")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag; repeatable.", rich_help_panel="Tracking")
    ] = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Train a DCGAN and track the run.

    Without arguments it trains the recipe [bold]digits[/bold] on scikit-learn's handwritten
    digits. Ctrl-C finishes the step and keeps a checkpoint; [bold]dcgan resume[/bold] goes on.

    [dim]dcgan train --epochs 20 --lr 1e-3 --tracker mlflow
    dcgan train mnist-ablation --no-weight-init --download
    dcgan train celeba --data ~/faces --set images.every_steps=100[/dim]
    """
    keep_memory()
    from dcgan.cli.progress import DecodingProgress
    from dcgan.config.loading import Override, load_config
    from dcgan.jobs.prepare import RunMetadata, prepare
    from dcgan.training.device import choose_device
    from dcgan.training.distributed import process_group

    given = overrides(
        settings,
        {
            "--lr": ("optimizer.lr", lr),
            "--epochs": ("training.epochs", epochs),
            "--steps": ("training.steps", steps),
            "--batch-size": ("training.batch_size", batch_size),
            "--seed": ("seed", seed),
            "--evaluate-every": ("evaluation.every_epochs", evaluate_every),
            "--precision": ("training.precision", precision),
            "--compile": ("training.compile", compiled),
        },
    )
    if weight_init is not None:
        scheme = "dcgan" if weight_init else "default"
        given.append(Override("init.scheme", scheme, "--weight-init/--no-weight-init"))
    config = load_config(recipe, given)
    if data is not None:
        config = load_config(recipe, given + place(config.dataset.name, data))
    labels = RunMetadata(name, group, tuple(tag or ()))
    with process_group(choose_device(device)) as world:
        with world.main_process_first(), DecodingProgress() as progress:
            job = prepare(
                config,
                device,
                store,
                tracker or (),
                labels,
                download=download,
                progress=progress.show,
                world=world,
            )
        _run(job)


def resume(
    run: RunReference = "last", device: Device = "auto", store: Store = DEFAULT_STORE
) -> None:
    """Go on with a run that was interrupted, failed or killed.

    It goes on from its last checkpoint, with the same data, order and latents:
    on the CPU bit for bit as if it had never stopped. It is tracked to where it
    was tracked before.
    """
    keep_memory()
    from dcgan.cli.progress import DecodingProgress
    from dcgan.jobs.prepare import prepare_resume
    from dcgan.training.device import choose_device
    from dcgan.training.distributed import process_group

    with process_group(choose_device(device)) as world:
        with world.main_process_first(), DecodingProgress() as progress:
            job = prepare_resume(store, run, device, progress=progress.show, world=world)
        _run(job)


def _run(job: Job) -> None:
    from dcgan.cli.progress import TrainingProgress
    from dcgan.jobs.run import run_job, run_worker_rank

    if job.world.rank > 0:
        run_worker_rank(job)
        return
    console = Console(highlight=False)
    with TrainingProgress(job, console) as progress:
        outcome = run_job(job, sys.argv, listen=progress.show, warn=progress.warn)
    _summarize(outcome, job, console)
    if outcome.status == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)


def _summarize(outcome: TrainingResult, job: Job, console: Console) -> None:
    """Where the run lies, what came out, and what to type next."""
    from dcgan.cli.format import duration
    from tracking.events import FIXED_NOISE

    run = outcome.folder.name
    console.print(
        f"\n[bold]{run}[/bold] {outcome.status} after {outcome.steps:,} of {job.total_steps:,} "
        f"steps in {duration(outcome.seconds)} ({outcome.images_per_second:,.0f} images/s).",
        soft_wrap=True,
    )
    console.print(f"  run         {outcome.folder}", soft_wrap=True)
    grids = sorted((outcome.folder / FIXED_NOISE).glob("*.png"))
    if grids:
        console.print(f"  last grid   {grids[-1]}", soft_wrap=True)
    elsewhere = "" if job.store == DEFAULT_STORE else f" --store {job.store}"
    if outcome.status == "interrupted":
        commands = {f"dcgan resume {run}{elsewhere}": "go on where it stopped"}
    else:
        commands = {
            f"dcgan plot {run}{elsewhere}": "draw its losses, scores and grids",
            f"dcgan sample {run} -n 64 -o grid.png{elsewhere}": "make new images",
            f"dcgan runs{elsewhere}": "see all runs",
        }
    for tracker in outcome.incomplete_trackers:
        commands[f"dcgan sync {run} --to {tracker}{elsewhere}"] = "send what it missed"
    if "mlflow" in job.trackers:
        commands[f"dcgan ui{elsewhere}"] = "compare runs in the MLflow UI"
    if "tensorboard" in job.trackers:
        folder = job.store / "tensorboard"
        commands[f"tensorboard --logdir {folder}"] = "compare runs in TensorBoard"
    width = max(map(len, commands))
    console.print("Next:")
    for command, purpose in commands.items():
        console.print(f"  [bold]{command:<{width}}[/bold]  {purpose}", soft_wrap=True)
