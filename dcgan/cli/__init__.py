"""The command `dcgan`. Commands import heavy libraries when they run, so that --help is fast."""

from __future__ import annotations

from typing import Annotated

import typer

from dcgan.cli.commands.animate import animate
from dcgan.cli.commands.compare import compare
from dcgan.cli.commands.data import data
from dcgan.cli.commands.diagnose import diagnose
from dcgan.cli.commands.diff import diff
from dcgan.cli.commands.evaluate import evaluate
from dcgan.cli.commands.export import export
from dcgan.cli.commands.fid import fid
from dcgan.cli.commands.plot import plot
from dcgan.cli.commands.probe import app as probe
from dcgan.cli.commands.profile import profile
from dcgan.cli.commands.recipes import app as recipes
from dcgan.cli.commands.report import report
from dcgan.cli.commands.runs import runs, show
from dcgan.cli.commands.sample import sample
from dcgan.cli.commands.selftest import selftest
from dcgan.cli.commands.store import delete, du, rename, restore, tag
from dcgan.cli.commands.sweep import sweep
from dcgan.cli.commands.train import resume, train
from dcgan.cli.commands.transfer import import_runs, sync
from dcgan.cli.commands.ui import ui
from dcgan.cli.commands.watch import watch
from dcgan.cli.errors import LabGroup, check_single_process
from dcgan.cli.trackers import TrackerCommand

app = typer.Typer(
    cls=LabGroup,
    help="""
    Train DCGANs, track every run, and compare runs with sound statistics.

    Start with [bold]dcgan train[/bold]: it needs no data and takes about two minutes on a CPU.
    Then try [bold]dcgan show last[/bold] and [bold]dcgan plot last[/bold].

    Wherever a command takes a RUN, give its id, the start of its id, its name, or
    [bold]last[/bold] for the newest run.
    """,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
TRAIN, INSPECT, COMPARE, MANAGE = "Train", "Inspect", "Compare", "Manage"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"dcgan-lab {version('dcgan-lab')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    check_single_process(str(context.invoked_subcommand))


app.command(rich_help_panel=TRAIN, cls=TrackerCommand)(train)
app.command(rich_help_panel=TRAIN)(resume)
app.command(rich_help_panel=TRAIN, cls=TrackerCommand)(sweep)
app.add_typer(recipes, name="recipes", rich_help_panel=TRAIN)
app.command(rich_help_panel=TRAIN)(data)
app.command(rich_help_panel=TRAIN)(profile)
app.command(rich_help_panel=TRAIN)(selftest)
app.command(rich_help_panel=INSPECT)(runs)
app.command(rich_help_panel=INSPECT)(show)
app.command(rich_help_panel=INSPECT)(diagnose)
app.command(rich_help_panel=INSPECT)(diff)
app.command(rich_help_panel=INSPECT)(watch)
app.command(rich_help_panel=INSPECT)(plot)
app.command(rich_help_panel=INSPECT)(sample)
app.command(rich_help_panel=INSPECT)(animate)
app.command(rich_help_panel=INSPECT)(export)
app.command(rich_help_panel=INSPECT)(ui)
app.command(rich_help_panel=COMPARE)(evaluate)
app.command(rich_help_panel=COMPARE)(fid)
app.add_typer(probe, name="probe", rich_help_panel=COMPARE)
app.command(rich_help_panel=COMPARE)(compare)
app.command(rich_help_panel=COMPARE)(report)
app.command(rich_help_panel=MANAGE, cls=TrackerCommand)(sync)
app.command("import", rich_help_panel=MANAGE, cls=TrackerCommand)(import_runs)
app.command(rich_help_panel=MANAGE)(tag)
app.command(rich_help_panel=MANAGE)(rename)
app.command(rich_help_panel=MANAGE)(delete)
app.command(rich_help_panel=MANAGE)(restore)
app.command(rich_help_panel=MANAGE)(du)
