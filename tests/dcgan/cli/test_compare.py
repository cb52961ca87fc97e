"""`dcgan compare`, as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from analysis import load
from analysis.report.compose import _setting
from dcgan.cli import app
from dcgan.cli.sweep_table import SweepTable
from dcgan.sweeping.storage import find_sweep
from tests.support.sample_journals import write_journal
from tracking.backends.local import amend_fields, run_folders

TINY = [
    part
    for setting in (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "images.count=4",
        "training.batch_size=256",
    )
    for part in ("--set", setting)
]


def invoke(*arguments: str, columns: int = 160) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of two seeds, as a sweep leaves them."""
    folder = tmp_path_factory.mktemp("runs")
    over = ["--over", "init.scheme=dcgan,default", "--seeds", "2", "--jobs", "2", "--steps", "6"]
    result = invoke("sweep", "digits", *over, *TINY, "--name", "ours", "--store", str(folder))
    assert result.exit_code == 0, result.output
    said = re.sub(r"\s+", " ", result.output)
    assert "2 seeds can show no difference in the 4 metrics" in said
    assert "that takes 8 seeds, or 6 for a single metric." in said
    return folder


def test_a_sweep_is_compared_by_its_name(store: Path) -> None:
    result = invoke("compare", "--sweep", "ours", "--store", str(store))
    assert result.exit_code == 0, result.output
    text = re.sub(r"\s+", " ", result.output)
    assert "init.scheme: 2 arms, 2 seeds, 4 runs" in text
    for metric in ("final loss of G", "final loss of D", "final D(x)", "final D(G(z))"):
        assert metric in text
    assert "over 2 pairs of seeds: no claim can be made about the final loss of G" in text
    assert "not how good the images are" in text
    assert re.search(r"runs collapsed diverged failed unknown .* dcgan 2 0 0 0 2 ", text)
    assert "Unknown: neither outputs of D nor images were kept, or G was still untrained" in text


def test_programs_get_all_of_it(store: Path) -> None:
    result = invoke("compare", "--by", "init.scheme", "--store", str(store), "--json")
    tree = json.loads(result.output)
    assert tree["arms"] == ["init.scheme=dcgan", "init.scheme=default"]
    assert {row["seed"] for row in tree["runs"]} == {0, 1}
    assert all(row["counts"] == [2, 2] for row in tree["differences"])
    for key in ("mean", "low", "high", "p", "p_holm", "exact", "larger", "detectable"):
        assert all(key in row for row in tree["differences"])
    assert all({"run", "arm", "seed", "ending", "Gloss"} <= row.keys() for row in tree["runs"])
    assert all({"collapsed", "low", "high"} <= row.keys() for row in tree["endings"])
    assert tree["constant"]["dataset.name"] == "digits"


def test_programs_get_all_digits_of_small_numbers(tmp_path: Path) -> None:
    fake_score = 1.2345678901234e-11
    for arm in ("dcgan", "default"):
        write_journal(tmp_path, arm, seed=0, init__scheme=arm, scores=(0.9, fake_score))
    result = invoke("compare", "--metric", "D_G_z1", "--store", str(tmp_path), "--json")
    tree = json.loads(result.output)
    assert [row["D_G_z1"] for row in tree["runs"]] == [fake_score] * 2
    assert tree["differences"][0]["low"] is None, "JSON has no infinities"


def test_runs_are_chosen_by_reference_and_by_what_holds(store: Path) -> None:
    names = [folder.name for folder in run_folders(store)]
    both = invoke("compare", *names, "--metric", "Gloss", "--store", str(store))
    assert "4 runs" in both.output
    one_seed = invoke("compare", "--where", "seed == 0", "--metric", "Gloss", "--store", str(store))
    assert "2 arms, 1 seed, 2 runs" in one_seed.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "init.skeme"], "Did you mean init.scheme"),
        (["--by", "optimizer.lr"], "there is nothing to compare"),
        (["--sweep", "theirs"], "No run here belongs to a sweep 'theirs'"),
        (["--metric", "fid"], "no run has it"),
        (["--baseline", "glorot"], "there is no such arm"),
        (["--where", "seed > 5"], "No runs match"),
        (["nobody"], "There is no run 'nobody'"),
    ],
)
def test_a_mistake_is_told_on_one_screen(store: Path, arguments: list[str], said: str) -> None:
    result = invoke("compare", *arguments, "--store", str(store))
    assert result.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", result.output)
    assert len(result.output.splitlines()) < 20


def test_foreign_text_does_not_steer_the_terminal(store: Path) -> None:
    folder = run_folders(store)[0]
    amend_fields(folder, {"sys/git/commit": "\x1b[31mred", "sys/git/dirty": False})
    result = invoke("compare", "--store", str(store))
    assert result.exit_code == 0, result.output
    assert "\x1b[31mred" not in result.output


def test_numbers_are_never_cut_however_narrow_the_terminal(store: Path) -> None:
    for width in (200, 60):
        result = invoke("compare", "--sweep", "ours", "--store", str(store), columns=width)
        tables = result.output
        assert "\N{HORIZONTAL ELLIPSIS}" not in tables
        header = next(line for line in tables.splitlines() if "difference" in line.split())
        assert header.split()[-1] == ("p" if width == 60 else "detectable")
        first, second = (line for line in tables.splitlines() if line.startswith("final D(x)"))
        assert len(first.split()) >= 6, "name, arm, n, mean and std"
        assert second.split()[-1 if width == 60 else -3] == "1", "the whole p value"


def test_a_narrow_terminal_explains_only_the_columns_that_it_shows(store: Path) -> None:
    wide = invoke("compare", "--sweep", "ours", "--store", str(store), columns=160).output
    assert "No room here" not in wide
    assert "Detectable:" in wide
    narrow = invoke("compare", "--sweep", "ours", "--store", str(store), columns=80).output
    left_out = re.search(r"^No room here for: (.*)\.$", narrow, re.MULTILINE)
    assert left_out
    assert "P(larger)" in left_out[1]
    assert "P(larger):" not in narrow
    assert ("Detectable:" in narrow) == ("detectable" not in left_out[1])
    assert "p: permutation test" in narrow


def test_a_length_that_was_given_in_steps_is_shown_in_steps(store: Path) -> None:
    listed = invoke("runs", "--store", str(store)).output
    assert listed.count("6/6 steps") == 4

    sweep = find_sweep(store, "ours")
    console = Console(width=100)
    table = SweepTable(sweep, {run.key: 1_797 for run in sweep.sweep.runs}, console)
    table.refresh()
    with console.capture() as capture:
        console.print(table._render())
    assert len(re.findall(r"finished +0 +6/6 ", capture.get())) == 4

    amend_fields(run_folders(store)[0], {"sys/status": "failed"})  # which is trained from its start
    table = SweepTable(sweep, {run.key: 1_797 for run in sweep.sweep.runs}, console)
    table.refresh()
    with console.capture() as capture:
        console.print(table._render())
    assert len(re.findall(r"finished +0 +6/6 ", capture.get())) == 3
    assert re.search(r"\d  waiting *$", capture.get(), re.MULTILINE)

    setting = dict(_setting(load(store).table))
    assert setting["Steps"] == "6"
    assert "Epochs" not in setting
