"""`dcgan sweep`."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcgan.cli.format import escape_control_characters
from dcgan.cli.options import (
    DEFAULT_STORE,
    BatchSize,
    Data,
    Device,
    Download,
    Epochs,
    Settings,
    Steps,
    Store,
    Trackers,
    overrides,
    place,
)
from dcgan.cpu.allocator import keep_memory
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.config.loading import Override
    from dcgan.sweep.definition import SweepDefinition
    from dcgan.sweep.plan import RunKey, Sweep, SweepRun
    from dcgan.sweep.storage import StoredSweep
    from dcgan.sweep.worker import Executor, WorkResult

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def _known_subjects() -> list[str]:
    from dcgan.config.loading import recipe_names
    from dcgan.sweep.definition import sweep_names

    return [*sweep_names(), *recipe_names()]


def sweep(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SWEEP",
            help="A sweep or a recipe by name, or the path of a .toml file with one or the other.",
            autocompletion=_known_subjects,
            show_default=False,
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE", help="A key of the recipe and its values; repeatable."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many, from 0; every arm has the same.")
    ] = None,
    seed_list: Annotated[
        str | None, typer.Option(metavar="0,3,14", help="In place of --seeds.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Run what a sweep that stopped still lacks.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the sweeps, and stop.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Runs at a time: one a core, or one alone on a GPU.", rich_help_panel="Machines"
        ),
    ] = None,
    backend: Annotated[
        Literal["loky", "ray", "dask"],
        typer.Option(help="This machine, or a cluster.", rich_help_panel="Machines"),
    ] = "loky",
    address: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Of Ray's or Dask's head; all machines must share the store.",
            rich_help_panel="Machines",
        ),
    ] = None,
    device: Device = "auto",
    epochs: Epochs = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    data: Data = None,
    download: Download = False,
    settings: Settings = None,
    name: Annotated[
        str | None,
        typer.Option(help="What you call the sweep, and its group.", rich_help_panel="Tracking"),
    ] = None,
    tracker: Trackers = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Train every combination of some values with the same seeds.

    Two arms of the same seed see the same data in the same order and draw the
    same latents: they differ in the factor alone. Ctrl-C lets every run write a
    checkpoint; the same command with [bold]--resume[/bold], or
    [bold]dcgan sweep NAME --resume[/bold], runs what is missing.

    [dim]dcgan sweep weight-init --seeds 10 --download
    dcgan sweep digits --over optimizer.lr=2e-4,2e-3 --over init.scheme=dcgan,default --jobs 4[/dim]
    """
    console = Console(highlight=False)
    if listed:
        _list(console)
        return
    if subject is None:
        raise typer.BadParameter("Name a sweep or a recipe: dcgan sweep --list shows the sweeps.")
    keep_memory()
    from dcgan.cli.progress import DecodingProgress
    from dcgan.sweep.datasets import load_data
    from dcgan.sweep.definition import read_definition
    from dcgan.sweep.executor import cluster
    from dcgan.sweep.progress import missing_runs
    from dcgan.sweep.storage import find_sweep, save_sweep
    from dcgan.training.device import choose_device
    from tracking.errors import UserError

    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: it should be 1 or more.")
    on_gpu = choose_device(device).type == "cuda"
    lengths: dict[str, tuple[str, int | float | str | None]] = {
        "--epochs": ("training.epochs", epochs),
        "--steps": ("training.steps", steps),
        "--batch-size": ("training.batch_size", batch_size),
    }
    given = overrides(settings, lengths)
    says_what = bool(over or given or data or seeds is not None or seed_list is not None)
    started = None
    if resume and not says_what:
        reference = read_definition(subject).name if subject.endswith(".toml") else subject
        started = find_sweep(store, name or reference)
        planned = started.sweep
    else:
        planned = _plan(read_definition(subject), name, over, seeds, seed_list, data, given)
        if resume:
            started = find_sweep(store, planned.name, planned)
    if started is not None and tracker and set(tracker) != set(started.trackers):
        raise UserError(
            f"{started.id} is tracked to {', '.join(('local', *started.trackers))} alone.\n"
            "Leave --tracker out; dcgan sync sends what is done to another tracker."
        )
    with DecodingProgress() as progress:
        sizes = load_data(planned, download=download, progress=progress.show)
    with cluster(backend, address) as cores:
        if started is None:
            started = save_sweep(store, planned, tracker or ())
        missing = missing_runs(started)
        at_once = jobs or (1 if on_gpu and backend == "loky" else cores)
        try:
            answers, ended = _run(started, missing, sizes, console, backend, at_once, device)
        except KeyboardInterrupt:  # the second Ctrl-C
            answers, ended = [], False
    _summarize(started, answers, console, store)
    if not ended:
        resumption = _command("sweep", started.id, "--resume", store=store)
        console.print(f"\nGo on where it stopped: [bold]{resumption}[/bold]", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(answer.failure for answer in answers):
        raise typer.Exit(EXIT_FAILED)


def _plan(
    definition: SweepDefinition,
    name: str | None,
    over: list[str] | None,
    seeds: int | None,
    seed_list: str | None,
    data: Path | None,
    given: list[Override],
) -> Sweep:
    """The definition with what the options say in its place."""
    from dcgan.config.loading import load_config
    from dcgan.sweep.plan import parse_factor, parse_seeds, plan_sweep
    from tracking.errors import UserError

    if seeds is not None and seed_list is not None:
        raise UserError("Give either --seeds or --seed-list.")
    chosen = definition.seeds if seeds is None else tuple(range(seeds))
    if seed_list is not None:
        chosen = parse_seeds(seed_list)
    own = [parse_factor(text) for text in over or []]
    replaced = {factor.key for factor in own}
    factors = [factor for factor in definition.factors if factor.key not in replaced] + own
    if data is not None:
        dataset = load_config(definition.recipe, given).dataset.name
        given = given + place(dataset, data.expanduser().absolute())
    return plan_sweep(name or definition.name, definition.recipe, given, factors, chosen)


def _run(
    started: StoredSweep,
    missing: dict[SweepRun, str | None],
    sizes: dict[RunKey, int],
    console: Console,
    backend: Executor,
    at_once: int,
    device: str,
) -> tuple[list[WorkResult], bool]:
    """What the workers answered, and whether they came to the end."""
    from dcgan.cli.sweep_table import SweepTable
    from dcgan.sweep.executor import run_work_items, threads_per_job
    from dcgan.sweep.worker import make_work_items

    trials = started.sweep.runs
    console.print(
        f"[bold]{started.id}[/bold]: {len(started.sweep.arms)} arms x "
        f"{len(started.sweep.seeds)} seeds = {len(trials)} runs, {len(missing)} of them to do."
    )
    if not missing:
        return [], True
    jobs = min(at_once, len(missing))
    threads = threads_per_job(jobs, backend)
    console.print(f"{jobs} at a time, each on {plural(threads, 'core')}.")
    orders = make_work_items(
        started, missing, device=device, executor=backend, threads=threads, arguments=sys.argv
    )
    with SweepTable(started, sizes, console) as table:
        return run_work_items(orders, backend, jobs, table.refresh)


def _summarize(
    started: StoredSweep, answers: list[WorkResult], console: Console, store: Path
) -> None:
    """A row an arm, what failed and why, and what to type next."""
    from dcgan.sweep.progress import RunProgress, progress_reader

    found = progress_reader(started)()
    standings = {trial: found.get(trial.key, RunProgress()) for trial in started.sweep.runs}
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("arm")
    for column in ("finished", "failed", "G loss", "D loss"):
        table.add_column(column, justify="right", no_wrap=True)
    failures = {answer.key for answer in answers if answer.failure}
    for arm in started.sweep.arms:
        own = {trial.key: each for trial, each in standings.items() if trial.arm == arm}
        finished = [each for each in own.values() if each.state == "finished"]
        failed = sum(key in failures or each.state == "failed" for key, each in own.items())
        losses = [each.losses for each in finished if each.losses]
        table.add_row(
            Text(escape_control_characters(arm.label)),
            f"{len(finished)}/{len(own)}",
            Text(str(failed or ""), style="red"),
            *(_mean_and_spread([pair[network] for pair in losses]) for network in (0, 1)),
        )
    console.print()
    console.print(table)
    console.print(
        "[dim]Losses: mean and standard deviation over seeds of the last epoch's means.[/dim]"
    )
    for failure in dict.fromkeys(_failures(answers)):
        console.print(Text(failure, style="red"), soft_wrap=True)
    for warning in dict.fromkeys(text for answer in answers for text in answer.warnings):
        console.print(Text(warning, style="yellow"), soft_wrap=True)
    for purpose, command in (("Compare its arms", "compare"), ("Write it down", "report")):
        line = _command(command, "--sweep", started.id, store=store)
        console.print(f"{purpose}: [bold]{line}[/bold]", soft_wrap=True)


def _failures(answers: Sequence[WorkResult]) -> list[str]:
    """A line for each kind of failure, with the runs that it befell."""
    befell: dict[str, list[str]] = {}
    for answer in answers:
        if answer.failure:
            arm, seed = answer.key
            befell.setdefault(escape_control_characters(answer.failure), []).append(
                f"{escape_control_characters(arm)} seed {seed}"
            )
    return [
        f"{', '.join(runs[:3])}{f' and {len(runs) - 3} more' if len(runs) > 3 else ''}: {failure}"
        for failure, runs in befell.items()
    ]


def _mean_and_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def _command(*words: str, store: Path) -> str:
    elsewhere = () if store == DEFAULT_STORE else ("--store", str(store))
    return " ".join(("dcgan", *words, *elsewhere))


def _list(console: Console) -> None:
    from dcgan.sweep.definition import read_definition, sweep_names

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("sweep", "recipe", "over", "seeds"):
        table.add_column(column)
    for name in sweep_names():
        definition = read_definition(name)
        values = (f"{each.key}: {', '.join(map(str, each.values))}" for each in definition.factors)
        table.add_row(
            Text(name, style="bold"),
            definition.recipe,
            "\n".join((definition.description, *values)),
            str(len(definition.seeds)),
        )
    console.print(table)
    console.print("\nRun one with [bold]dcgan sweep NAME[/bold], or your own from a .toml file.")
