"""Trackers of other packages on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.plugin_packages import BACKEND, install
from tracking.backends.local import load_runs, load_steps

SMALL = ("network.generator_features=4", "network.discriminator_features=4", "images.count=9")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path with two packages: one that works, one that cannot be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    install(folder, "works", BACKEND)
    install(folder, "broken", "import no_such_sdk")
    return folder


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "300"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", ["train", "sweep", "sync", "import"])
def test_the_help_lists_the_trackers_of_other_packages(command: str, site: Path) -> None:
    for _ in range(2):  # the second time is the same
        output = invoke(command, "--help")
        assert output.count("works (lab-works 1.2)") == 1
        assert "broken (lab-broken 1.2)" in output
    assert "plugin_works" not in sys.modules


@pytest.mark.usefixtures("site")
def test_a_package_that_cannot_be_imported_costs_a_sentence(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    settings = [part for setting in SMALL for part in ("--set", setting)]
    trackers = ("--tracker", "broken", "--tracker", "works", "--tracker", "broken")
    output = invoke("train", "--steps", 4, "--store", store, *trackers, *settings)

    problem = (
        "The tracker broken of lab-broken 1.2 cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_sdk'"
    )
    assert output.count(problem) == 1
    assert "dcgan sync" in output  # it says how to send what was missed
    [row] = load_runs(store).to_dict("records")
    assert row["sys/status"] == "finished"
    assert row["sys/trackers/broken"] == f"incomplete: {problem}"
    assert row["sys/trackers/works"] == "complete"
    assert len(load_steps(store, row["sys/id"])) == 4

    refused = invoke("sync", "--to", "broken", "--store", store, code=2)
    assert f"could not be sent to broken: {problem}" in refused


@pytest.mark.usefixtures("site")
def test_a_name_that_nothing_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    assert "no tracker 'aim'. Choose from: mlflow, " in invoke("train", "--tracker", "aim", code=2)
    assert "tensorboard" in invoke("sync", "--to", "aim", "--store", tmp_path, code=2)
    output = invoke("import", tmp_path, "--from", "aim", code=2)
    assert "There is no importer for 'aim'. Choose from: mlflow, neptune-offline, " in output
    assert "works" in output
