"""`dcgan diagnose`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from dcgan.cli.curve_panel import curve_panel
from dcgan.cli.format import escape_control_characters, print_json
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.options import Json, RunReference, Store
from dcgan.store_dir import DEFAULT_STORE

if TYPE_CHECKING:
    import pandas as pd

    from diagnosis import Finding

_PANELS = (
    ("D's output", (("D_x", "D(x)", "green"), ("D_G_z1", "D(G(z))", "magenta"))),
    ("loss", (("Gloss", "G", "blue"), ("Dloss", "D", "red"))),
)
_WIDTH, _HEIGHT = 100, 11
_MARGIN = 0.5
"""How many steps before a finding its curves show, as a share of the finding's own."""


def diagnose(
    run: RunReference = "last",
    rules: Annotated[
        bool, typer.Option("--rules", help="List the rules with their sources and exit.")
    ] = False,
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Say what is wrong with a run, since which step, and what helps.

    The rules examine a run's metrics, image grids and data, even while it is
    training or after an import. Each rule states its evidence and how often it
    was right on labelled runs; each remedy comes with its measured effect.
    """
    from analysis.health import examine, nothing_found
    from diagnosis.advice import advice_for, how_sure
    from diagnosis.findings import holding
    from tracking.backends.local import read_fields, read_steps
    from tracking.store import find_run

    console = Console(highlight=False)
    if rules:
        _print_rules(console)
        return
    folder = find_run(store, run)
    fields, steps = read_fields(folder), read_steps(folder)
    watch = examine({path: v for path, v in fields.items() if v is not None}, steps, folder)
    now = holding(watch.findings)
    if as_json:
        findings = [asdict(each) | {"holds": not each.ended} for each in watch.findings]
        print_json({"findings": findings, "unknown": watch.unknown})
        return
    console.print(Text(folder.name, style="bold"), Text(str(fields.get("sys/status"))))
    if not watch.findings:
        console.print(nothing_found(watch))
    for finding in [*now, *(each for each in watch.findings if each.ended)]:
        style = "dim" if finding.ended else "yellow"
        console.print()
        print_indented(console, escape_control_characters(str(finding)), style)
        print_indented(console, f"  {how_sure(finding.rule)}", "dim")
        if finding.ended:
            continue
        for panel in _panels(steps, finding, console.width):
            console.print(panel)
        for line in advice_for(finding.rule):
            print_indented(console, f"  {line}")
    if watch.unknown:
        console.print("\n[bold]Rules that cannot be judged[/bold]")
        for rule, reason in watch.unknown.items():
            print_indented(console, f"  {rule}: {escape_control_characters(reason)}")


def _panels(steps: pd.DataFrame, finding: Finding, width: int) -> list[Text]:
    """The curves around a finding."""
    length = max(finding.until - finding.since + 1, 1)
    first = max(1, finding.since - int(_MARGIN * length))
    shown = steps[(steps["step"] >= first) & (steps["step"] <= finding.until)]
    if len(shown) < 2 or finding.rule == "data_at_fault":
        return []
    size = (min(width, _WIDTH), _HEIGHT)
    return [curve_panel(shown, title, curves, size) for title, curves in _PANELS]


def _print_rules(console: Console) -> None:
    from diagnosis import RULES
    from diagnosis.advice import how_sure

    for rule in RULES.values():
        fatal = f" A run that ends with it counts as {rule.fatal}." if rule.fatal else ""
        console.print(Text.assemble((rule.name, "bold"), f": {rule.title}.{fatal}"))
        print_indented(console, f"  Source: {rule.source}.")
        print_indented(console, f"  {how_sure(rule.name)}", "dim")
