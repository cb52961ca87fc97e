"""`dcgan diff`, as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tracking.backends.local import amend_fields, open_tracker, run_folders
from tracking.events import BATCH, GIT_DIFF, Fields, Metrics, Text
from tracking.tracker import Run

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
ESCAPE = "\x1b[31mred"


def invoke(*arguments: str, columns: int = 100) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})


def said(store: Path, *arguments: str, columns: int = 100) -> str:
    result = invoke("diff", *arguments, "--store", str(store), columns=columns)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one epoch that differ in learning rate and seed."""
    folder = tmp_path_factory.mktemp("runs")
    for name, own in (("slow", ()), ("fast", ("--lr", "2e-3", "--seed", "1"))):
        result = invoke(
            "train", "--epochs", "1", *own, *TINY, "--name", name, "--store", str(folder)
        )
        assert result.exit_code == 0, result.output
    return folder


def test_metrics_of_one_run_alone_have_a_heading_of_their_own(tmp_path: Path) -> None:
    for number, metrics in enumerate(({f"{BATCH}/Gloss": [1.0]}, {f"{BATCH}/Gloss": [2.0]})):
        journal = open_tracker(Run(f"digits-{number}", "run", number), tmp_path)
        own = {"evaluation/lenet_fid": [3.0]} if number else {}
        journal.write(Metrics([1], [1], {**metrics, **own}))
        journal.close("finished")
    in_both, _, alone = said(tmp_path, "digits-0", "digits-1").partition("Final metrics of one")
    assert "Gloss" in in_both
    assert "lenet_fid" not in in_both
    assert "lenet_fid" in alone
    in_both, _, alone = said(tmp_path, "digits-0", "digits-0").partition("Final metrics of one")
    assert not alone


def test_a_commit_that_one_run_did_not_record_is_not_called_another(tmp_path: Path) -> None:
    for run, commit in (("digits-0", "0123456789"), ("digits-1", None)):
        journal = open_tracker(Run(run, run, 1), tmp_path)
        journal.write(Fields({"sys/git/commit": commit} if commit else {"sys/name": run}))
        journal.write(Metrics([1], [1], {f"{BATCH}/Gloss": [1.0]}))
        journal.close("finished")
    assert "The code of B was not recorded" in said(tmp_path, "digits-0", "digits-1")
    assert "The code of A was not recorded" in said(tmp_path, "digits-1", "digits-0")
    assert "The code was not recorded" in said(tmp_path, "digits-1", "digits-1")


def test_two_runs_stand_side_by_side(store: Path):
    printed = said(store, "slow", "fast")
    assert re.search(r"^seed +0 +1 *$", printed, re.MULTILINE)
    assert re.search(r"^The configurations differ in 1 of \d+ keys$", printed, re.MULTILINE)
    assert re.search(r"^optimizer\.lr +\S+ +0\.002 *$", printed, re.MULTILINE)
    assert "The data are the same: 1,797 images of digits" in printed
    assert re.search(r"^The packages are identical \(\d+ versions\)$", printed, re.MULTILINE)
    assert re.search(r"^The machines are identical \(\d+ fields\)$", printed, re.MULTILINE)
    assert re.search(r"^training/epoch/Gloss +\d\S* +\d\S* +[+-]\d\S* *$", printed, re.MULTILINE)
    assert "an anecdote" in printed
    assert "not how good the images are" in printed


def test_a_run_beside_itself_is_said_to_be_equal(store: Path):
    printed = said(store, "slow", "slow")
    assert "The configurations are identical" in printed
    assert "optimizer.lr" not in printed


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_table_fits_the_screen(store: Path, columns: int):
    printed = said(store, "slow", "fast", columns=columns)
    assert max(map(len, printed.splitlines())) <= columns


def test_programs_get_all_of_it(store: Path):
    tree = json.loads(said(store, "slow", "fast", "--json"))
    assert [pair["name"] for pair in tree["configuration"]["differing"]] == ["optimizer.lr"]
    assert tree["configuration"]["equal"]["training.epochs"] == 1
    assert tree["same_data"] is True
    (loss,) = [each for each in tree["metrics"] if each["path"] == "training/epoch/Gloss"]
    assert loss["difference"] == loss["second"] - loss["first"]


def test_a_run_that_is_not_there_is_told_of(store: Path):
    result = invoke("diff", "slow", "nobody", "--store", str(store))
    assert result.exit_code == 2
    assert "There is no run 'nobody'" in result.output
    assert "Traceback" not in result.output


def test_little_is_known_of_runs_from_elsewhere(tmp_path: Path):
    for run in ("one", "two"):
        journal = open_tracker(Run(run, run, 1), tmp_path)
        journal.write(Fields({"sys/status": "running"}))
        journal.write(Metrics([1], [5], {f"{BATCH}/Gloss": [float("nan")]}))
        journal.close("finished")
    printed = said(tmp_path, "one", "two")
    assert "The configurations were not recorded" in printed
    assert "Whether the data are the same was not recorded" in printed
    assert "The code was not recorded" in printed
    (loss,) = json.loads(said(tmp_path, "one", "two", "--json"))["metrics"]
    assert loss["first"] is None  # JSON has no NaN


@pytest.mark.parametrize("command", ["runs", "show", "diagnose"])
def test_what_programs_get_of_a_run_that_diverged_is_json(tmp_path: Path, command: str):
    journal = open_tracker(Run("one", "one", 1), tmp_path)
    journal.write(Fields({"sys/status": "running", "config/loss/name": "bce"}))
    broken = [float("nan"), float("inf")]
    values = {f"{BATCH}/Gloss": broken, f"{BATCH}/Dloss": broken[::-1]}
    journal.write(Metrics([1, 2], [5, 6], values))
    journal.close("finished")
    run = () if command == "runs" else ("one",)
    printed = invoke(command, *run, "--json", "--store", str(tmp_path)).output

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    assert json.loads(printed, parse_constant=refuse)


def test_foreign_text_does_not_steer_the_terminal(tmp_path: Path):
    for run, text in (("one", "plain"), ("two", ESCAPE)):
        journal = open_tracker(Run(run, run, 1), tmp_path)
        journal.write(Fields({"config/dataset/path": text, f"config/{text}": 1}))
        journal.write(Metrics([1], [5], {f"{BATCH}/{text}": [1.0]}))
        journal.write(Text(GIT_DIFF, f"diff --git a/{text} b/{text}\n@@ -1 +1 @@\n+1\n"))
        journal.close("finished")
        amend_fields(tmp_path / run, {"sys/git/commit": text, "sys/packages/torch": text})
    printed = said(tmp_path, "one", "two")
    assert ESCAPE not in printed
    assert printed.count("\\x1b[31m") >= 4


def test_the_shell_completes_either_run(store: Path):
    for typed in ("dcgan diff ", "dcgan diff last "):
        request = {"_DCGAN_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": typed}
        environment = {**request, "DCGAN_STORE": str(store)}
        offered = CliRunner().invoke(app, [], prog_name="dcgan", env=environment).output
        assert "the newest run" in offered
        assert all(folder.name in offered for folder in run_folders(store))
