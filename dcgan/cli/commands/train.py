"""`dcgan train` and `dcgan resume`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dcgan.cli.options import (
    CONFIGURATION_PANEL,
    TRACKING_PANEL,
    BatchSize,
    Data,
    Device,
    Download,
    Epochs,
    MovedData,
    Precision,
    Recipe,
    RunReference,
    Settings,
    Steps,
    StopWhen,
    Store,
    Trackers,
    complete_run,
    parse_overrides,
)
from dcgan.cpu.allocator import keep_memory
from dcgan.exit_codes import EXIT_INTERRUPTED
from dcgan.store_dir import DEFAULT_STORE, command_line, dcgan_command

if TYPE_CHECKING:
    from pathlib import Path

    from dcgan.jobs.prepare import Job
    from dcgan.jobs.run import TrainingResult


def train(
    recipe: Recipe = "digits",
    lr: Annotated[
        float | None,
        typer.Option(
            help="Adam's learning rate, for both networks.", rich_help_panel=CONFIGURATION_PANEL
        ),
    ] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of weights, data order and latents.", rich_help_panel=CONFIGURATION_PANEL
        ),
    ] = None,
    weight_init: Annotated[
        bool | None,
        typer.Option(
            "--weight-init/--no-weight-init",
            help="Initialise weights from N(0, 0.02) as DCGAN does, or as PyTorch does.",
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    start_from: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a run (RUN or RUN:CHECKPOINT), or of a .pth or "
            ".safetensors file with one network; repeatable.",
            autocompletion=complete_run,
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Score the images every EPOCHS epochs and at the end; keep the best checkpoint.",
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    precision: Precision = None,
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile",
            help="Use torch.compile if a trial of 20 steps shows that it pays off.",
            rich_help_panel=CONFIGURATION_PANEL,
        ),
    ] = None,
    data: Data = None,
    download: Download = False,
    settings: Settings = None,
    tracker: Trackers = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", rich_help_panel=TRACKING_PANEL)
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Name of a group of runs that this one belongs to.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Tag for the run; repeatable.", rich_help_panel=TRACKING_PANEL),
    ] = None,
    log_model: Annotated[
        bool,
        typer.Option(
            "--log-model",
            help="Log the generator, best or else last, to MLflow as a model it can serve.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = False,
    stop_when: StopWhen = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Train a DCGAN and track the run.

    Without arguments, this trains the recipe [bold]digits[/bold] on scikit-learn's
    handwritten digits. Ctrl-C finishes the current step and saves a checkpoint,
    from which [bold]dcgan resume[/bold] continues.

    [dim]dcgan train --epochs 20 --lr 1e-3 --tracker mlflow
    dcgan train mnist-ablation --no-weight-init --download
    dcgan train celeba --data ~/faces --set images.every_steps=100
    dcgan train celeba --data ~/faces --from netG.pth --from netD.pth[/dim]
    """
    keep_memory()
    from dcgan.jobs.health import parse_stop_when
    from dcgan.jobs.overrides import configure
    from dcgan.jobs.prepare import RunMetadata, prepare
    from dcgan.training.device import choose_device
    from dcgan.training.distributed import process_group

    if log_model:
        from dcgan.jobs.log_model import require_mlflow

        require_mlflow(tracker or (), "--log-model", "--tracker mlflow")
    overrides = parse_overrides(
        settings,
        lr=lr,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        weight_init=weight_init,
        start_from=start_from or None,
        evaluate_every=evaluate_every,
        precision=precision,
        compile=compiled,
    )
    config = configure(recipe, overrides, data)
    rules = parse_stop_when(stop_when)
    metadata = RunMetadata(name, group, tuple(tag or ()))
    with process_group(choose_device(device)) as world:
        with world.main_process_first():
            job = prepare(
                config,
                device,
                store,
                tracker or (),
                metadata,
                download=download,
                stop_when=rules,
                world=world,
            )
        _run(job, log_model=log_model)


def resume(
    run: RunReference = "last",
    epochs: Annotated[
        int | None,
        typer.Option(help="New length of the whole run, in epochs."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="New length of the whole run in steps, instead of --epochs.")
    ] = None,
    data: MovedData = None,
    stop_when: StopWhen = None,
    device: Device = "auto",
    store: Store = DEFAULT_STORE,
) -> None:
    """Continue a run that was interrupted, stopped or killed or that failed, or extend it.

    Training continues from the last checkpoint with the same data, order and
    latents. On the CPU, with the same number of threads, the result is bit for
    bit that of an uninterrupted run. With [bold]--epochs[/bold] a finished run
    continues as if that had been its length from the start. Tracking continues
    in the same backends.

    [dim]dcgan resume last --epochs 40[/dim]
    """
    keep_memory()
    from dcgan.jobs.health import parse_stop_when
    from dcgan.jobs.prepare import prepare_resume
    from dcgan.training.device import choose_device
    from dcgan.training.distributed import process_group

    length = parse_overrides((), epochs=epochs, steps=steps)
    rules = parse_stop_when(stop_when)
    with process_group(choose_device(device)) as world:
        with world.main_process_first():
            job = prepare_resume(
                store, run, device, data=data, length=length, stop_when=rules, world=world
            )
        _run(job)


def _run(job: Job, *, log_model: bool = False) -> None:
    from dcgan.cli.progress import TrainingConsole, TrainingProgress
    from dcgan.jobs.run import run_job, run_worker_rank

    if job.world.rank > 0:
        if not run_worker_rank(job):
            raise typer.Exit(EXIT_INTERRUPTED)
        return
    console = TrainingConsole(highlight=False)
    with TrainingProgress(job, console) as progress:
        result = run_job(job, sys.argv, listen=progress.show, warn=progress.warn)
    _print_result(result, job, console)
    if log_model and result.status == "finished":
        _log_model(result.folder, job.store, console)
    if result.status == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)


def _log_model(folder: Path, store: Path, console: Console) -> None:
    """Log the generator. A failure is only reported, because the training itself succeeded."""
    from dcgan.jobs.log_model import log_generator
    from tracking.errors import UserError

    try:
        with console.status("Logging the generator to MLflow ..."):
            logged = log_generator(folder)
    except UserError as error:
        again = dcgan_command("sync", folder.name, "--to", "mlflow", "--model", store=store)
        console.print(
            f"{escape(str(error))}\nTry again with: [bold]{escape(again)}[/bold]", soft_wrap=True
        )
        return
    console.print(f"  model       {escape(logged.address)} of step {logged.step:,}", soft_wrap=True)


def _print_result(result: TrainingResult, job: Job, console: Console) -> None:
    """Print how the training ended, where its files are, and which commands to try next."""
    from dcgan.jobs.progress import describe_end
    from tracking.events import FIXED_NOISE
    from tracking.run_files import image_files

    console.print(
        f"\n[bold]{escape(result.folder.name)}[/bold] {describe_end(result, job)}", soft_wrap=True
    )
    console.print(f"  run         {result.folder}", soft_wrap=True, markup=False)
    if grids := list(image_files(result.folder, FIXED_NOISE).values()):
        console.print(f"  last grid   {grids[-1]}", soft_wrap=True, markup=False)
    commands = _next_commands(result, job)
    width = max(map(len, commands))
    fits = width + max(map(len, commands.values())) + 4 <= console.width
    console.print("Next:")
    for command, purpose in commands.items():
        gap = " " * (width - len(command) + 2) if fits else "\n      "
        console.print(f"  [bold]{escape(command)}[/bold]{gap}{purpose}", soft_wrap=True)


def _next_commands(result: TrainingResult, job: Job) -> dict[str, str]:
    """Commands that the user may want to type next -> their purposes."""
    run, store = result.folder.name, job.store
    if result.status == "stopped":
        commands = {
            dcgan_command("diagnose", run, store=store): "see why, and what helps",
            dcgan_command("resume", run, store=store): "continue the training all the same",
        }
    elif result.status == "interrupted":
        rules = ("--stop-when", ",".join(job.stop_when)) if job.stop_when else ()
        commands = {dcgan_command("resume", run, *rules, store=store): "continue the training"}
    else:
        sample = ("sample", run, "-n", "64", "-o", "grid.png")
        commands = {
            dcgan_command("plot", run, store=store): "plot losses, scores, image grids",
            dcgan_command(*sample, store=store): "generate new images",
            dcgan_command("runs", store=store): "list all runs",
        }
    for tracker in result.incomplete_trackers:
        sync = dcgan_command("sync", run, "--to", tracker, store=store)
        commands[sync] = "send what the tracker missed"
    if "mlflow" in job.trackers:
        commands[dcgan_command("ui", store=store)] = "compare runs in the MLflow UI"
    if "tensorboard" in job.trackers:
        line = command_line("tensorboard", "--logdir", str(store / "tensorboard"))
        commands[line] = "compare runs in TensorBoard"
    if "wandb" in job.trackers:
        folder = command_line(str(store / "wandb"))
        commands[f"wandb sync {folder}{os.sep}*run-*-{run}"] = "send the run to Weights & Biases"
    return commands
