"""What trackio itself reads of a run, and the commands of the lab with this tracker."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from dcgan.cli import app
from tracking.backends import load_backend, local
from tracking.events import FIXED_NOISE
from tracking.testing.sample_run import (
    CREATED,
    FIELDS,
    RUN,
    assert_same_as_journal,
    block,
    picture,
    whole_run,
    write,
)

SMALL = ("network.generator_features=4", "network.discriminator_features=4", "images.count=9")


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_trackio_reads_the_metrics_the_configuration_and_the_images(tmp_path: Path) -> None:
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage
    from trackio.utils import MEDIA_DIR

    from dcgan_tracker_trackio.layout import project_of

    project = project_of(tmp_path)
    image = picture(FIXED_NOISE, 2)
    events = [FIELDS, block(1, 3), image]
    write(load_backend("trackio").open_tracker(RUN, tmp_path), events)

    [run] = Api().runs(project)
    assert run.id == RUN.id
    assert run.config["config/values/float"] == 2e-4
    assert run.config["config/values/unicode"] == "naïve, 星, 🌌"
    values = SQLiteStorage.get_metric_values(
        project, run.name, "training/batch/Dloss", run_id=run.id
    )
    assert [(row["step"], row["value"]) for row in values] == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    [logged] = [log for log in SQLiteStorage.get_logs(project, run.name) if FIXED_NOISE in log]
    assert logged["timestamp"].startswith("2023-11-14T22:13:20.125")
    with PIL.Image.open(MEDIA_DIR / logged[FIXED_NOISE]["file_path"]) as png:
        assert png.tobytes() == image.pixels.tobytes()


def test_the_commands_know_the_tracker(tmp_path: Path) -> None:
    assert "trackio (dcgan-tracker-trackio" in " ".join(invoke("train", "--help").split())
    store, copy = tmp_path / "runs", tmp_path / "copy"
    write(local.open_tracker(RUN, store), whole_run(tmp_path))
    assert "3,002 values, 3 images, 2 files" in invoke(
        "sync", "--to", "trackio", "--verify", "--store", store
    )
    assert_same_as_journal(load_backend("trackio"), store, ignore="sys/trackers")
    assert "3,002 values" in invoke("import", store, "--from", "trackio", "--store", copy)
    steps = [local.load_steps(place, RUN.id) for place in (store, copy)]
    assert_frame_equal(*steps)
    assert local.load_runs(copy).loc[RUN.id, "sys/imported_from"] == "trackio"
    assert steps[0]["time"].iloc[0].timestamp() == (CREATED + 10) / 1000


def test_a_run_is_trained_with_the_tracker(tmp_path: Path) -> None:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    options = ("--steps", "4", "--store", tmp_path, "--tracker", "trackio")
    output = invoke("train", *options, *settings)
    assert "stopped" not in output
    [run] = local.load_runs(tmp_path).index
    assert local.load_runs(tmp_path).loc[run, "sys/trackers/trackio"] == "complete"
    backend = load_backend("trackio")
    assert_frame_equal(backend.load_steps(tmp_path, run), local.load_steps(tmp_path, run))
