"""`dcgan sweep`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from dcgan.choices import Executor
from dcgan.cli.completion import complete_setting
from dcgan.cli.format import (
    add_number_columns,
    borderless_table,
    escape_control_characters,
)
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.options import (
    TRACKING_PANEL,
    BatchSize,
    Data,
    Device,
    Download,
    Epochs,
    Settings,
    Steps,
    StopWhen,
    Store,
    Trackers,
    parse_overrides,
)
from dcgan.cpu.allocator import keep_memory
from dcgan.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from dcgan.store_dir import DEFAULT_STORE, dcgan_command
from tracking.errors import UserError
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.sweeping.plan import RunKey
    from dcgan.sweeping.session import SweepOutcome, SweepSession
    from dcgan.sweeping.storage import StoredSweep

_MACHINES_PANEL = "Machines"
_MAX_RUNS_NAMED = 3
_OVER = "--over optimizer.lr=2e-4,2e-3"


def _complete_subject() -> list[str]:
    from dcgan.config.loading import recipe_names
    from dcgan.sweeping.definition import sweep_names

    return [*sweep_names(), *recipe_names()]


def sweep(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="SWEEP",
            help="Name of a sweep or a recipe, or path of a .toml file with either.",
            autocompletion=_complete_subject,
            show_default=False,
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="Recipe key to vary and its values; repeatable.",
            autocompletion=complete_setting,
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(max=10_000, help="Number of seeds per arm, counted from 0.")
    ] = None,
    seed_list: Annotated[
        str | None, typer.Option(metavar="0,3,14", help="Seeds to use, instead of --seeds.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish a sweep that was stopped.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the built-in sweeps and exit.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Runs to train at once; by default one per core, or one per GPU.",
            rich_help_panel=_MACHINES_PANEL,
        ),
    ] = None,
    backend: Annotated[
        Executor,
        typer.Option(
            help="Train on this machine (loky) or on a Ray or Dask cluster.",
            rich_help_panel=_MACHINES_PANEL,
        ),
    ] = "loky",
    address: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Address of Ray's or Dask's head; all machines must share the store.",
            rich_help_panel=_MACHINES_PANEL,
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
        typer.Option(
            help="Name of the sweep, and of the group of its runs.", rich_help_panel=TRACKING_PANEL
        ),
    ] = None,
    tracker: Trackers = None,
    stop_when: StopWhen = None,
    store: Store = DEFAULT_STORE,
) -> None:
    """Train every combination of some values, each with the same seeds.

    For a given seed, all arms see the same images in the same order and the
    same latents, so they differ only in the factors of the sweep. Ctrl-C lets
    every run save a checkpoint. To finish the sweep, repeat the command with
    [bold]--resume[/bold], or use [bold]dcgan sweep NAME --resume[/bold].

    [dim]dcgan sweep weight-init --seeds 10 --download
    dcgan sweep digits --over optimizer.lr=2e-4,2e-3 --jobs 4[/dim]
    """
    from dcgan.cli.progress import TrainingConsole

    console = TrainingConsole(highlight=False)
    if listed:
        _print_sweeps(console)
        return
    if subject is None:
        raise UserError("Name a sweep or a recipe.\nList the sweeps with: dcgan sweep --list")
    keep_memory()
    from dcgan.jobs.health import parse_stop_when
    from dcgan.sweeping.plan import parse_factor
    from dcgan.sweeping.request import Machines, SweepRequest
    from dcgan.sweeping.session import SweepOutcome, sweep_session

    overrides = parse_overrides(settings, epochs=epochs, steps=steps, batch_size=batch_size)
    request = SweepRequest(
        subject=subject,
        name=name,
        factors=tuple(map(parse_factor, over or ())),
        seeds=_seeds(seeds, seed_list),
        overrides=tuple(overrides),
        data=data,
        resume=resume,
        trackers=tuple(tracker or ()),
    )
    with sweep_session(
        request,
        store,
        sys.argv,
        machines=Machines(executor=backend, cluster=address, jobs=jobs, device=device),
        download=download,
        stop_when=parse_stop_when(stop_when),
    ) as session:
        try:
            outcome = _train(session, console)
        except KeyboardInterrupt:  # the second Ctrl-C
            outcome = SweepOutcome(is_complete=False)
    stored_sweep = session.stored
    _print_results(stored_sweep, outcome, console, store)
    if not outcome.is_complete:
        # A sweep does not keep the rules.
        rules = () if stop_when is None else ("--stop-when", stop_when)
        resume_command = dcgan_command("sweep", stored_sweep.id, "--resume", *rules, store=store)
        console.print(f"\nFinish the sweep: [bold]{escape(resume_command)}[/bold]", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if outcome.failures:
        raise typer.Exit(EXIT_FAILED)


def _seeds(count: int | None, listed: str | None) -> tuple[int, ...] | None:
    """The seeds that the options name; None if they name none."""
    from dcgan.sweeping.plan import parse_seeds

    if count is not None and listed is not None:
        raise UserError("Give either --seeds or --seed-list, not both.")
    if listed is not None:
        return parse_seeds(listed)
    return None if count is None else tuple(range(count))


def _train(session: SweepSession, console: Console) -> SweepOutcome:
    """Train the missing runs, with a table of all runs while they train."""
    from analysis.comparison.seeds import few_seeds_warning
    from dcgan.cli.sweep_table import SweepTable
    from dcgan.sweeping.request import evaluated_spaces
    from dcgan.sweeping.session import SweepOutcome

    plan = session.stored.sweep
    console.print(
        f"[bold]{session.stored.id}[/bold]: {plural(len(plan.arms), 'arm')} x "
        f"{plural(len(plan.seeds), 'seed')} = {plural(len(plan.runs), 'run')}, "
        f"{len(session.missing)} left to train."
    )
    spaces = evaluated_spaces(plan)
    if warning := few_seeds_warning(len(plan.seeds), len(plan.arms), spaces, _OVER):
        console.print(warning, style="yellow")
    if not session.missing:
        return SweepOutcome()
    devices, threads = session.work_items[0].devices, session.work_items[0].threads
    gpus = f" on {', '.join(dict.fromkeys(devices))}" if len(devices) > 1 else ""
    console.print(f"Training {session.jobs} at a time{gpus}, with {plural(threads, 'core')} each.")
    with SweepTable(session.stored, session.image_counts, console) as table:
        return session.train(table.refresh)


def _print_results(
    stored_sweep: StoredSweep, outcome: SweepOutcome, console: Console, store: Path
) -> None:
    """Print one row per arm, failures and warnings, and the commands that compare the arms."""
    from dcgan.sweeping.progress import RunProgress, progress_reader

    plan = stored_sweep.sweep
    progress_by_key = progress_reader(stored_sweep)()
    failed_keys = {key for keys in outcome.failures.values() for key in keys}
    table = borderless_table()
    table.add_column("arm")
    has_stopped = any(each.state == "stopped" for each in progress_by_key.values())
    stopped_heading = ("stopped",) if has_stopped else ()
    add_number_columns(table, "finished", *stopped_heading, "failed")
    for arm in plan.arms:
        keys = [run.key for run in plan.runs if run.arm == arm]
        runs = {key: progress_by_key.get(key, RunProgress()) for key in keys}
        finished = [progress for progress in runs.values() if progress.state == "finished"]
        failures = sum(
            key in failed_keys or progress.state == "failed" for key, progress in runs.items()
        )
        table.add_row(
            Text(escape_control_characters(arm.label)),
            f"{len(finished)}/{len(runs)}",
            *(str(sum(each.state == "stopped" for each in runs.values())) for _ in stopped_heading),
            Text(str(failures or ""), style="red"),
        )
    console.print()
    console.print(table)
    for arm in plan.arms:
        of_arm = [progress_by_key.get(run.key) for run in plan.runs if run.arm == arm]
        if health := _health_of_arm([each.folder for each in of_arm if each and each.folder]):
            text = escape_control_characters(f"{arm.label}: {health}")
            print_indented(console, text, "yellow")
    for failure, failed_runs in outcome.failures.items():
        text = escape_control_characters(_describe_failure(failure, failed_runs))
        print_indented(console, text, "red")
    for warning in outcome.warnings:
        print_indented(console, escape_control_characters(warning), "yellow")
    next_commands = [("Measure the quality of images", "evaluate")]
    if len(plan.arms) > 1:
        next_commands.append(("Compare the arms", "compare"))
    next_commands.append(("Write a report", "report"))
    for purpose, command in next_commands:
        line = dcgan_command(command, "--sweep", stored_sweep.id, store=store)
        console.print(f"{purpose}: [bold]{escape(line)}[/bold]", soft_wrap=True)


def _health_of_arm(folders: Sequence[Path]) -> str:
    """In how many runs rules hold, and which; empty if there are none."""
    from dcgan.cli.health_lines import rules_that_hold
    from tracking.backends.local import read_fields

    rules = [rules_that_hold(read_fields(folder)) for folder in folders]
    counts = Counter(rule.replace("_", " ") for held in rules for rule in held)
    if not counts:
        return ""
    listed = ", ".join(f"{rule} ({count})" for rule, count in counts.most_common())
    return (
        f"in {sum(map(bool, rules))} of {plural(len(rules), 'run')} a health rule holds: {listed}"
    )


def _describe_failure(failure: str, runs: Sequence[RunKey]) -> str:
    """A failure in one line, with the first run that it affected."""
    named = ", ".join(f"{arm} seed {seed}" for arm, seed in runs[:_MAX_RUNS_NAMED])
    more = len(runs) - _MAX_RUNS_NAMED
    return f"{named}{f' and {more} more' if more > 0 else ''}: {failure}"


def _print_sweeps(console: Console) -> None:
    from dcgan.sweeping.definition import read_definition, sweep_names

    table = borderless_table()
    for column in ("sweep", "recipe", "factors", "seeds"):
        table.add_column(column)
    for name in sweep_names():
        definition = read_definition(name)
        factors = (
            f"{factor.key}: {', '.join(map(str, factor.values))}" for factor in definition.factors
        )
        table.add_row(
            Text(name, style="bold"),
            definition.recipe,
            "\n".join((definition.description, *factors)),
            str(len(definition.seeds)),
        )
    console.print(table)
    console.print(
        "\nRun one with [bold]dcgan sweep NAME[/bold], or write your own as a .toml file."
    )
