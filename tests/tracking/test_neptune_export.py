"""What Neptune's exporter saved, read back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tests.support import neptune_exporter
from tests.support.neptune_exporter import (
    moment,
    png,
    row,
    rows_of_offline_run,
    save_file,
    write_export,
)
from tracking.backends import local, neptune
from tracking.backends import neptune_export as backend
from tracking.errors import StoreError, StoreWarning
from tracking.events import ARTIFACTS, FIXED_NOISE, GENERATOR_ARCH, Fields, File, Image, Text
from tracking.testing.sample_run import CREATED, RUN, whole_run, write

GLOSS = "training/batch/Gloss"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A run of someone who tracked by the paths of the published experiment."""
    folder = tmp_path / "exports"
    rows = [
        row("sys/id", "string", "SAN-1"),
        row("sys/name", "string", "first try"),
        row("sys/creation_time", "datetime", moment(CREATED)),
        row("sys/owner", "string", "ada"),
        row("sys/failed", "bool", False),
        row("sys/tags", "string_set", ["b", "a"]),
        row("parameters/lr", "float", 2e-4),
        row("parameters/epochs", "int", 5),
        row("config/dataset/path", "string", "/data/celeba"),
        *(row(GLOSS, "float_series", 1 / (s + 1), s, CREATED + s) for s in range(1500)),
        row("monitoring/stdout", "string_series", "epoch 1", 0, CREATED),
        row("monitoring/stdout", "string_series", "epoch 2", 1, CREATED + 1),
        row("weights", "histogram_series", {"type": "COUNTING", "edges": [0, 1], "values": [2]}, 0),
        row(GENERATOR_ARCH, "file", save_file(folder, "SAN-1", GENERATOR_ARCH, b"Generator()\n")),
        row("model", "file", save_file(folder, "SAN-1", "model", b"\x80\x02\xff")),
        row("grids", "file_series", save_file(folder, "SAN-1", "grids/0.png", png(1)), 0),
        row("gone", "file", {"path": "ada/dcgan/SAN-1/gone"}),
    ]  # fmt: skip
    write_export(folder, "SAN-1", rows, parts=3)
    return folder


def test_a_foreign_run_keeps_its_paths_and_gets_what_every_run_has(foreign: Path) -> None:
    runs = backend.load_runs(foreign)
    (run,) = runs.index
    assert run.startswith("san-1-")
    fields = runs.loc[run].to_dict()
    assert fields["sys/id"] == run
    assert fields["sys/name"] == "first try"
    assert fields["sys/created"] == "2023-11-14T22:13:20.123Z"
    assert fields["sys/status"] == "finished"
    assert fields["sys/tags"] == ["a", "b"]
    assert fields["sys/neptune/owner"] == "ada"
    assert fields["parameters/lr"] == 2e-4
    assert fields["parameters/epochs"] == 5
    assert type(fields["parameters/epochs"]) is int
    steps = backend.load_steps(foreign, run)
    assert list(steps["step"]) == list(range(1500))
    assert list(steps[GLOSS]) == [1 / (s + 1) for s in range(1500)]
    assert steps["time"][7] == pd.Timestamp(CREATED + 7, unit="ms", tz="UTC")


def test_a_foreign_run_has_its_texts_files_and_pictures(foreign: Path) -> None:
    (run,) = backend.load_runs(foreign).index
    events = list(backend.load_events(foreign, run))
    assert isinstance(events[0], Fields)
    texts = {event.path: event.content for event in events if isinstance(event, Text)}
    assert texts[GENERATOR_ARCH] == "Generator()\n"
    assert texts[f"{ARTIFACTS}/monitoring/stdout"] == "0.000000\tepoch 1\n1.000000\tepoch 2\n"
    assert "COUNTING" in texts[f"{ARTIFACTS}/weights"]
    (file,) = (event for event in events if isinstance(event, File))
    assert file.path == f"{ARTIFACTS}/model"
    assert file.source.read_bytes() == b"\x80\x02\xff"
    (image,) = (event for event in events if isinstance(event, Image))
    assert (image.path, image.step, image.time) == ("images/grids", 0, CREATED)
    expected = np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    assert np.array_equal(image.pixels, expected)


def test_a_run_that_was_tracked_here_comes_back_as_it_was(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "exports"
    store.mkdir()
    events = whole_run(tmp_path)
    for tracker in (neptune.open_tracker(RUN, store), local.open_tracker(RUN, store)):
        write(tracker, events)
    write_export(folder, "DCGAN-7", list(rows_of_offline_run(store, folder, "DCGAN-7")), parts=2)

    assert_frame_equal(backend.load_runs(folder), local.load_runs(store))
    assert_frame_equal(backend.load_steps(folder, RUN.id), local.load_steps(store, RUN.id))
    pictures = {
        (event.path, event.step): event.pixels
        for event in backend.load_events(folder, RUN.id)
        if isinstance(event, Image)
    }
    for event in events:
        if isinstance(event, Image):
            assert np.array_equal(
                pictures[event.path, event.step].squeeze(), event.pixels.squeeze()
            )
    assert (FIXED_NOISE, 500) in pictures
    assert math.isnan(backend.load_steps(folder, RUN.id)[GLOSS][6])


def test_the_folder_with_the_parquet_files_does_too(foreign: Path) -> None:
    assert_frame_equal(backend.load_runs(foreign / "data"), backend.load_runs(foreign))
    (run,) = backend.load_runs(foreign).index
    assert any(isinstance(e, Image) for e in backend.load_events(foreign / "data", run))


def test_runs_of_two_projects_with_one_id_are_told_apart(foreign: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neptune_exporter, "PROJECT", "ada/other")
        patch.setattr(neptune_exporter, "_FOLDER", "ada_other_9f9f9f")
        write_export(foreign, "SAN-1", [row("sys/name", "string", "of another project")])
    assert set(backend.load_runs(foreign)["sys/name"]) == {"first try", "of another project"}


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd"])
def test_a_row_cannot_name_a_file_outside_of_the_export(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    write_export(tmp_path / "exports", "X-1", [row("a", "file", {"path": name})])
    (run,) = backend.load_runs(tmp_path / "exports").index
    with pytest.raises(StoreError, match="outside"):
        list(backend.load_events(tmp_path / "exports", run))


def test_what_is_not_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no exported run"):
        backend.load_runs(tmp_path)
    (tmp_path / "a_part_0.parquet").write_bytes(b"no parquet")
    with (
        pytest.warns(StoreWarning, match="cannot be read"),
        pytest.raises(StoreError, match="no exported run"),
    ):
        backend.load_runs(tmp_path)


def test_a_step_that_is_not_a_whole_number_is_refused(tmp_path: Path) -> None:
    write_export(tmp_path, "X-1", [row("loss", "float_series", 1.0, 0.5, CREATED)])
    (run,) = backend.load_runs(tmp_path).index
    with pytest.raises(StoreError, match=r"0\.5"):
        backend.load_steps(tmp_path, run)


def test_lines_of_a_text_are_in_the_order_of_their_parts(tmp_path: Path) -> None:
    lines = ["begin", "", *map(str, range(2, 12))]
    rows = [row("log", "string_series", line, n, CREATED + n) for n, line in enumerate(lines)]
    write_export(tmp_path, "X-1", rows, parts=12)
    (run,) = backend.load_runs(tmp_path).index
    (text,) = (event for event in backend.load_events(tmp_path, run) if isinstance(event, Text))
    assert [line.split("\t")[1] for line in text.content.splitlines()] == lines


def test_a_picture_that_is_cut_short_is_left_out_alone(tmp_path: Path) -> None:
    files = [save_file(tmp_path, "X-1", f"grids/{n}.png", png(n)[: 200 + 800 * n]) for n in (0, 1)]
    rows = [row("grids", "file_series", file, n) for n, file in enumerate(files)]
    write_export(tmp_path, "X-1", rows)
    (run,) = backend.load_runs(tmp_path).index
    with pytest.warns(StoreWarning, match="images/grids at step 0 is left out"):
        events = list(backend.load_events(tmp_path, run))
    assert [event.step for event in events if isinstance(event, Image)] == [1]
