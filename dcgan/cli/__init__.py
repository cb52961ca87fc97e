"""The command `dcgan`. Heavy imports happen inside the commands, so that --help is quick."""

from __future__ import annotations

import typer

from dcgan.cli.commands.compare import compare
from dcgan.cli.commands.diff import diff
from dcgan.cli.commands.evaluate import evaluate
from dcgan.cli.commands.plot import plot
from dcgan.cli.commands.probe import app as probe
from dcgan.cli.commands.profile import profile
from dcgan.cli.commands.recipes import app as recipes
from dcgan.cli.commands.report import report
from dcgan.cli.commands.runs import runs, show
from dcgan.cli.commands.sample import sample
from dcgan.cli.commands.store import delete, du, rename, restore, tag
from dcgan.cli.commands.sweep import sweep
from dcgan.cli.commands.train import resume, train
from dcgan.cli.commands.transfer import import_runs, sync
from dcgan.cli.commands.ui import ui
from dcgan.cli.commands.watch import watch
from dcgan.cli.errors import LabGroup

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
