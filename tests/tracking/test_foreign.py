"""Runs that other programs tracked to MLflow and TensorBoard, as they are imported."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tracking.backends import local, tensorboard
from tracking.backends.mlflow.database import ensure_database
from tracking.events import Fields
from tracking.testing.sample_run import RUN
from tracking.tracker import Run


def imported(source: Path | str, kind: str, store: Path, *more: str, code: int = 0) -> str:
    arguments = ["import", str(source), "--from", kind, "--store", str(store), *more]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return re.sub(r"[\s│]+", " ", result.output)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow with a run of someone's, and a run within that run."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("elsewhere") / "tracking.db"
    ensure_database(file)
    client = MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("faces", (file.parent / "mlruns").as_uri())
    run = client.create_run(experiment, start_time=1_700_000_000_000, run_name="first").info.run_id
    params = {"lr": "0.001", "batch": "64", "name": "adam", "nesterov": "False", "warm": "None"}
    params |= {"build": "00123", "code": "1_000", "half": ".5", "whole": "-1.E3"}
    for name, text in (params | {"betas": "[0.5, 0.9]", "tree": '{"a": 1}', "odd": "nan"}).items():
        client.log_param(run, name, text)
    client.set_tag(run, "team", "vision")
    for step in (0, 1, 5):
        client.log_metric(run, "train/loss", 1 / (step + 1), 1_700_000_001_000 + step, step)
    client.log_metric(run, "accuracy", 0.5, 1_700_000_001_000, 0)
    client.log_metric(run, "step", math.inf, 1_700_000_002_000, 5)
    client.log_text(run, "hello", "notes/read.txt")
    client.log_text(run, "{}", "notes/read.json")
    client.log_text(run, "* text", "notes/.gitattributes")
    client.log_image(run, np.zeros((8, 8, 3), np.uint8), key="samples", step=2)
    client.set_terminated(run)
    nested = {"mlflow.parentRunId": run}
    client.create_run(experiment, start_time=1_700_000_003_000, run_name="nested", tags=nested)
    return file


def test_any_run_of_mlflow_is_imported(database: Path, tmp_path: Path) -> None:
    output = imported(database, "mlflow", tmp_path)
    assert "5 values, 1 image, 3 files" in output
    runs = local.load_runs(tmp_path)
    first, nested = runs.index
    assert list(runs["sys/name"]) == ["first", "nested"]
    assert list(runs["sys/status"]) == ["finished", "killed"]
    assert list(runs["sys/group"]) == ["faces"] * 2
    assert runs.loc[nested, "sys/parent"] == first
    assert runs.loc[first, "tags/team"] == "vision"
    config = json.loads((tmp_path / first / "config.json").read_text())
    assert config == {
        "lr": 0.001, "batch": 64, "name": "adam", "nesterov": False, "warm": None,
        "betas": [0.5, 0.9], "tree": '{"a": 1}', "odd": "nan",
        "build": "00123", "code": "1_000", "half": 0.5, "whole": -1000.0,
    }  # fmt: skip
    steps = local.load_steps(tmp_path, first)
    assert list(steps["step"]) == [0, 1, 5]
    assert list(steps["train/loss"]) == [1.0, 0.5, 1 / 6]
    assert list(steps["/step"])[2] == math.inf
    files = {
        path.relative_to(tmp_path / first).as_posix() for path in (tmp_path / first).rglob("*.*")
    }
    assert {"images/samples/00000002.png", "artifacts/notes/read.json"} <= files
    assert (tmp_path / first / "artifacts" / "notes" / "gitattributes").read_text() == "* text"
    assert imported(database, "mlflow", tmp_path).count("up to date") == 2
    shown = CliRunner().invoke(app, ["show", first, "--store", str(tmp_path)]).output
    assert re.search(r"tags/team +vision", shown)
    assert re.search(r"\n +accuracy +0\.5", shown), "a metric without a folder is shown, too"


def test_a_place_without_runs_says_what_would_be_one(tmp_path: Path) -> None:
    assert "any sqlite file of MLflow" in imported(tmp_path, "mlflow", tmp_path / "s", code=2)
    assert "no tensorboard runs" in imported(tmp_path, "tensorboard", tmp_path / "s", code=2)
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
    assert "mlflow migrate-filestore" in imported(tmp_path, "mlflow", tmp_path / "s", code=2)
    assert not (tmp_path / "s").exists()


def test_any_folder_of_tensorboard_is_imported(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "logs" / "exp" / "v0")) as writer:
        for step in range(3):
            writer.add_scalar("loss/train", 1 / (step + 1), step)
        writer.add_scalar("step", 2.5, 1, new_style=True)
        writer.add_image("samples", np.zeros((3, 8, 8), np.uint8), 1)
        writer.add_text("note", "hello", 0)
        writer.add_histogram("weights", np.arange(10.0), 1)
        hparams = {"lr": 0.1, "batch": 32, "name": "adam", "nesterov": True}
        writer.add_hparams(hparams, {"best": 0.9})
    output = imported(tmp_path / "logs", "tensorboard", tmp_path / "mine")
    assert "5 values, 1 image, 1 file" in output
    assert "Not imported, because a run cannot hold them here: 1 histogram." in output
    [folder] = local.run_folders(tmp_path / "mine")
    assert local.read_fields(folder)["sys/name"] == "exp/v0"
    assert json.loads((folder / "config.json").read_text()) == hparams
    assert (folder / "artifacts/note.txt").read_text() == "hello"
    steps = local.read_steps(folder)
    assert list(steps["loss/train"]) == [1.0, 0.5, np.float32(1 / 3)]
    assert list(steps["/step"])[1] == 2.5
    [(series, step)] = local.image_files(folder)
    assert (series, step) == ("images/samples", 1)
    assert "up to date" in imported(tmp_path / "logs", "tensorboard", tmp_path / "mine")
    rename = ("--rename", "loss/train=training/batch/Gloss")
    output = imported(tmp_path / "logs", "tensorboard", tmp_path / "other", *rename)
    assert "5 values, 1 image, 1 file" in output
    assert "cannot hold them here: 1 histogram." in output, (
        "counted once, although it is read twice"
    )


def test_a_single_run_of_this_program_is_imported_from_its_store(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    for name in (RUN.id, f"{RUN.id}2"):
        tracker = tensorboard.open_tracker(Run(name, RUN.name, RUN.created), store)
        tracker.write(Fields({"sys/status": "finished"}))
        tracker.close("finished")
    output = imported(store / "tensorboard" / RUN.id, "tensorboard", tmp_path / "mine", code=2)
    assert "name the store that has its tensorboard" in output
    imported(store / "tensorboard", "tensorboard", tmp_path / "mine")
    assert len(local.run_folders(tmp_path / "mine")) == 2
