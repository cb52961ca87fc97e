"""Runs that were made elsewhere: they read and write nothing outside, and damage is told."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.command import dcgan
from tests.support.neptune_exporter import row, save_file, write_export
from tracking.backends import local
from tracking.errors import StoreError
from tracking.events import ARTIFACTS
from tracking.testing.sample_run import CREATED, RUN
from tracking.transfer import import_run, send_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("identifier", ["../outside", "/etc", "", ".", "a/b", "a\n"])
def test_an_id_from_elsewhere_leads_nowhere(tmp_path: Path, identifier: str) -> None:
    fields = {"sys/id": identifier, "sys/created": "2023-11-14T22:13:20.123Z"}
    with pytest.raises(StoreError, match="cannot be the id"):
        import_run("local", tmp_path, fields, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_hostile_paths_of_an_imported_run_stay_inside(tmp_path: Path) -> None:
    exports, store = tmp_path / "exports", tmp_path / "store"
    hostile = "io_files/artifacts/../../../outside"
    file_value = save_file(exports, "X-1", "innocent", b"text")
    write_export(exports, "X-1", [row(hostile, "file", file_value)])
    result = CliRunner().invoke(
        app, ["import", str(exports), "--from", "neptune-export", "--store", str(store)]
    )
    assert result.exit_code == 2
    assert "outside" in result.output
    assert not (tmp_path / "outside.txt").exists()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file of the user's, which no import may read."""
    file = tmp_path / "private" / "id_rsa.txt"
    file.parent.mkdir()
    file.write_text("TOPSECRET")
    return file


def assert_not_imported(source: Path, kind: str, mine: Path) -> None:
    assert "3,002 values" in dcgan("import", source, "--from", kind, "--store", mine)
    files = [file for file in mine.rglob("*") if file.is_file()]
    assert all(b"TOPSECRET" not in file.read_bytes() for file in files)


@pytest.mark.parametrize("place", ["absolute", "relative"])
def test_an_offline_folder_of_neptune_cannot_name_a_file_of_mine(
    store: Path, private: Path, tmp_path: Path, place: str
) -> None:
    send_run(store / RUN.id, "neptune")
    shutil.rmtree(store / RUN.id)
    (log,) = (store / "neptune" / "offline").glob("run__*/data-1.log")
    folder = log.parent / "upload_path"
    text = log.read_text()
    if place == "absolute":
        copy = str(store / "neptune" / "files" / RUN.id / "io_files/artifacts/recipe.toml")
        assert copy in text
        text = text.replace(copy, str(private))
    else:
        name = next(folder.glob("*Generator*")).name
        assert name in text
        text = text.replace(name, os.path.relpath(private, folder))
    log.write_text(text)
    assert_not_imported(store, "neptune-offline", tmp_path / "mine")


@pytest.mark.parametrize("kind", ["local", "tensorboard"])
def test_a_link_in_a_run_from_elsewhere_is_not_followed(
    store: Path, private: Path, tmp_path: Path, kind: str
) -> None:
    folder = store / RUN.id / "artifacts"
    if kind == "tensorboard":
        send_run(store / RUN.id, kind)
        folder = store / "tensorboard" / RUN.id / ARTIFACTS
    (folder / "key.txt").symlink_to(private)
    (folder / "folder").symlink_to(private.parent)
    assert_not_imported(store, kind, tmp_path / "mine")


def test_a_database_of_mlflow_cannot_name_a_folder_of_mine(
    store: Path, private: Path, tmp_path: Path
) -> None:
    send_run(store / RUN.id, "mlflow")
    shutil.rmtree(store / RUN.id)
    (artifacts,) = store.glob("mlflow-artifacts/*/artifacts")
    outside = private.parent / "artifacts"
    shutil.move(artifacts, outside)
    (outside / ARTIFACTS / "key.txt").write_text("TOPSECRET")
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = ?", [outside.as_uri()])
    assert_not_imported(store, "mlflow", tmp_path / "mine")


def test_a_damaged_run_of_an_export_costs_itself_alone(tmp_path: Path) -> None:
    exports, store = tmp_path / "exports", tmp_path / "store"
    series = [row("metrics/g", "float_series", value, s, CREATED + s) for s, value in
              enumerate([0.5, None, 1.5])]  # fmt: skip
    write_export(exports, "SAN-1", [row("sys/name", "string", "missing value"), *series])
    fields = [row("sys/tags", "string", "no list"), row("a", "int", 1), row("a/b", "int", 2)]
    write_export(exports, "SAN-2", [row("sys/name", "string", "odd fields"), *fields])
    write_export(exports, "SAN-3", [row("metrics/g", "float_series", 1.0, 1.5, CREATED)])
    write_export(exports, "SAN-4", [row("sys/name", "string", "cut")])
    (part,) = exports.rglob("*SAN-4*.parquet")
    part.write_bytes(part.read_bytes()[:100])

    arguments = ["import", str(exports), "--from", "neptune-export", "--store", str(store)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "2 values" in result.output
    said = " ".join(result.output.replace("│", " ").split())
    assert "A value of metrics/g at step 1" in said
    assert "has the step 1.5" in said
    assert f"{part} is left out" in said
    runs = local.load_runs(store)
    assert {"missing value", "odd fields"} <= set(runs["sys/name"])
    assert ["no list"] in list(runs["sys/tags"])
    assert (2, 1) in set(zip(runs["a/b"], runs["a"], strict=True))
