"""The command `dcgan`. Heavy imports happen inside the commands, so that --help is quick."""

from __future__ import annotations

import typer

from dcgan.cli.compare import compare
from dcgan.cli.diff import diff
from dcgan.cli.errors import LabGroup
from dcgan.cli.evaluate import evaluate
from dcgan.cli.manage import delete, du, rename, restore, tag
from dcgan.cli.pictures import plot, sample
from dcgan.cli.probe import app as probe
from dcgan.cli.profile import profile
from dcgan.cli.recipes import app as recipes
from dcgan.cli.report import report
from dcgan.cli.runs import runs, show
from dcgan.cli.sweep import sweep
from dcgan.cli.train import resume, train
from dcgan.cli.transfer import import_runs, sync
from dcgan.cli.ui import ui
from dcgan.cli.watch import watch

app = typer.Typer(
    cls=LabGroup,
    help="""
    Train DCGANs with every run tracked, kept and compared honestly.

    Start with [bold]dcgan train[/bold]: it needs no data and takes about two minutes on a CPU.
    Then look: [bold]dcgan show last[/bold], [bold]dcgan plot last[/bold].

    A RUN is named by its id, the start of its id, its name, or [bold]last[/bold].
    """,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command(rich_help_panel="Train")(train)
app.command(rich_help_panel="Train")(resume)
app.command(rich_help_panel="Train")(sweep)
app.add_typer(recipes, name="recipes", rich_help_panel="Train")
app.command(rich_help_panel="Train")(profile)
app.command(rich_help_panel="Look")(runs)
app.command(rich_help_panel="Look")(show)
app.command(rich_help_panel="Look")(diff)
app.command(rich_help_panel="Look")(watch)
app.command(rich_help_panel="Look")(plot)
app.command(rich_help_panel="Look")(sample)
app.command(rich_help_panel="Compare")(evaluate)
app.add_typer(probe, name="probe", rich_help_panel="Compare")
app.command(rich_help_panel="Compare")(compare)
app.command(rich_help_panel="Compare")(report)
app.command(rich_help_panel="Look")(ui)
app.command(rich_help_panel="Keep")(sync)
app.command("import", rich_help_panel="Keep")(import_runs)
for command in (tag, rename, delete, restore, du):
    app.command(rich_help_panel="Keep")(command)
