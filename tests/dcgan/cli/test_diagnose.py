"""`dcgan diagnose`, and what other commands show of a run's health."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.cli.health_lines import health_line, rules_that_hold
from dcgan.cli.indented_lines import print_indented
from diagnosis import RULES, advice
from tests.support.health_events import HEALTHY, run, write_health_journal
from tracking.events import Fields


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy run, and one in which D has won from step 301 on."""
    folder = tmp_path_factory.mktemp("health")
    write_health_journal(folder, "healthy-abc234", run(400, HEALTHY))
    won = run(
        600,
        HEALTHY,
        D_x=lambda step: 0.999 if step > 300 else 0.7,
        D_G_z1=lambda step: 0.001 if step > 300 else 0.3,
    )
    told = {
        "health/holds": ["discriminator_won"],
        "health/discriminator_won/since": 301,
        "health/discriminator_won/evidence": "D(x) is 0.999",
    }
    write_health_journal(folder, "won-abc235", [*won, Fields(told)])
    return folder


def test_what_holds_is_said_with_curves_and_with_what_helps(store: Path) -> None:
    result = invoke("diagnose", "won-abc235", "--store", str(store))
    assert result.exit_code == 0, result.output
    assert "D has won from step 301 on: D(x) is 0.999 and D(G(z)) is 0.001" in result.output
    assert re.search(r"D\'s output \(batches\)", result.output), "the curves of these steps"
    for line in (advice.how_sure("discriminator_won"), *advice.advice_for("discriminator_won")):
        assert line.strip() in result.output
    assert "memorising: the grid of real images holds only a part" in result.output


def test_a_healthy_run_and_json(store: Path) -> None:
    result = invoke("diagnose", "healthy-abc234", "--store", str(store))
    assert "9 of 10 rules can be judged: none holds in this run" in result.output
    answer = json.loads(invoke("diagnose", "won-abc235", "--json", "--store", str(store)).output)
    (finding,) = answer["findings"]
    assert (finding["rule"], finding["since"], finding["holds"]) == ("discriminator_won", 301, True)
    assert "memorising" in answer["unknown"]


def test_long_lines_are_indented_in_a_terminal_and_whole_elsewhere() -> None:
    line = "  lower rate (optimizer.lr=0.001): LeNet-FID -53% (-60% to -40%), 0 failed"
    terminal, file = StringIO(), StringIO()
    print_indented(Console(file=terminal, width=40, force_terminal=True), line)
    assert terminal.getvalue().splitlines() == [
        "  lower rate (optimizer.lr=0.001):",
        "    LeNet-FID -53% (-60% to -40%), 0",
        "    failed",
    ]
    print_indented(Console(file=file, width=40), line)
    assert file.getvalue() == f"{line}\n"


def test_a_terminal_breaks_no_words_and_keeps_the_lines_of_a_message() -> None:
    terminal = StringIO()
    message = "D has won, where its loss\nasks: stop with --stop-when"
    print_indented(Console(file=terminal, width=22, force_terminal=True), message)
    assert terminal.getvalue().splitlines() == [
        "D has won, where its",
        "  loss",
        "asks: stop with",
        "  --stop-when",
    ]


def test_every_rule_is_listed_with_its_source() -> None:
    output = invoke("diagnose", "--rules").output
    for rule in RULES.values():
        assert rule.name in output
        assert rule.source.split(",")[0] in output


def test_runs_have_a_column_of_what_holds(store: Path) -> None:
    output = invoke("runs", "--store", str(store)).output
    assert "health" in output
    assert "discriminator won" in output
    rows = json.loads(invoke("runs", "--json", "--store", str(store)).output)
    assert [row["health"] for row in rows] == [[], ["discriminator_won"]]


def test_a_watched_run_is_marked(store: Path) -> None:
    output = invoke("watch", "won-abc235", "--store", str(store)).output
    assert "D has won from step 301 on: D(x) is 0.999" in output
    assert "from step" not in invoke("watch", "healthy-abc234", "--store", str(store)).output


def test_fields_of_other_programs_are_no_rules() -> None:
    assert rules_that_hold({"health/holds": ["magic", "collapsed"]}) == ["collapsed"]
    assert rules_that_hold({"health/holds": "collapsed"}) == []
    assert health_line("collapsed", {"health/collapsed/since": "soon"}) == "G draws few images"
