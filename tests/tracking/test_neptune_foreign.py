"""Runs that other programs tracked offline to Neptune, read and imported."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image as Picture

from tests.support.command import dcgan
from tracking.backends import local
from tracking.backends import neptune as backend
from tracking.backends.neptune import offline_folders
from tracking.events import Image, Text
from tracking.fields import to_iso8601
from tracking.testing.sample_run import CREATED


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("NEPTUNE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_a_run_that_someone_else_made_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPTUNE_DATA_DIRECTORY", str(tmp_path / "neptune"))
    import neptune

    with neptune.init_run(
        mode="offline", name="theirs", tags=["a"], capture_hardware_metrics=False,
        capture_stdout=False, capture_stderr=False, capture_traceback=False, git_ref=False,
        source_files=[],
    ) as run:  # fmt: skip
        run["parameters/lr"] = 0.1
        for step in range(5):
            run["train/loss"].append(1 / (step + 1), step=step)
    runs = backend.load_runs(tmp_path)
    [identifier] = runs.index
    assert runs.loc[identifier, "parameters/lr"] == 0.1
    assert runs.loc[identifier, "sys/name"] == "theirs"
    loss = backend.load_steps(tmp_path, identifier)["train/loss"]
    assert list(loss) == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_a_run_of_another_program_is_read_as_a_server_would_have_kept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import neptune

    monkeypatch.setenv("NEPTUNE_DATA_DIRECTORY", str(tmp_path / "neptune"))
    with neptune.init_run(mode="offline", capture_hardware_metrics=False) as theirs:
        for value in (0.5, 0.25, 0.125):
            theirs["loss"].append(value)
        theirs["accuracy"].append(0.75, step=7)
        theirs["accuracy"].append(0.875)
        theirs["begun"] = datetime.fromtimestamp(CREATED / 1000, UTC)
        theirs["sys/tags"].add("old")
        theirs["sys/tags"].add(["good", "bad"])
        theirs["sys/tags"].remove("bad")
        theirs["gone"] = 1
        theirs["forgotten"].append(1.0)
        theirs.wait(disk_only=True)
        del theirs["gone"], theirs["forgotten"]
    runs = backend.load_runs(tmp_path)
    (run,) = runs.index
    steps = backend.load_steps(tmp_path, run).set_index("step")
    assert steps["loss"].dropna().to_dict() == {0: 0.5, 1: 0.25, 2: 0.125}
    assert steps["accuracy"].dropna().to_dict() == {7: 0.75, 8: 0.875}
    assert runs.loc[run, "begun"] == to_iso8601(CREATED)
    assert runs.loc[run, "sys/tags"] == ["good", "old"]
    assert "gone" not in runs
    assert "forgotten" not in steps


def test_a_run_in_the_clients_own_folder_is_imported_whole(tmp_path: Path) -> None:
    import neptune
    from neptune.types import File

    Picture.new("L", (4, 4)).save("grid.png")
    with neptune.init_run(
        mode="offline",
        name="theirs",
        capture_hardware_metrics=False,
        git_ref=False,
        source_files=[],
    ) as theirs:
        theirs["parameters/lr"] = 0.1
        for step in range(3):
            theirs["log"].append(f"epoch {step}")
            theirs["loss"].append(1 / (step + 1))
        theirs["samples"].append(File("grid.png"))
        theirs["model/weights"].upload(File.from_content(b"abc", extension="bin"))
        theirs["pictures"].upload_files("*.png")
        theirs["sys/failed"] = True
        theirs.wait(disk_only=True)
    assert (tmp_path / ".neptune").is_dir()

    printed = dcgan("import", ".", "--from", "neptune-offline", "--store", "mine")
    assert "3 values, 1 image, " in printed
    assert "1 file set" in printed  # of which only the names are there
    (run,) = local.load_runs(tmp_path / "mine").index
    fields = local.load_runs(tmp_path / "mine").loc[run]
    assert (fields["parameters/lr"], fields["sys/name"]) == (0.1, "theirs")
    assert fields["sys/status"] == "failed"
    events = list(local.load_events(tmp_path / "mine", run))
    texts = {event.path: event.content for event in events if isinstance(event, Text)}
    assert texts["io_files/artifacts/log"] == "0\tepoch 0\n1\tepoch 1\n2\tepoch 2\n"
    assert {(event.path, event.step) for event in events if isinstance(event, Image)} == {
        ("images/samples", 0)
    }
    assert (tmp_path / "mine" / run / "artifacts" / "model" / "weights.bin").read_bytes() == b"abc"
    again = dcgan("import", ".neptune", "--from", "neptune-offline", "--store", "mine")
    assert "up to date" in again


def test_a_resumed_run_keeps_the_time_at_which_it_was_created(tmp_path: Path) -> None:
    import neptune

    with neptune.init_run(mode="offline", capture_hardware_metrics=False) as theirs:
        theirs["loss"].append(1.0)
    (first,) = (tmp_path / ".neptune" / "offline").iterdir()
    began = backend.load_runs(tmp_path)["sys/created"].item()
    later = first.with_name(f"{first.name.rpartition('__')[0]}__later")
    shutil.copytree(first, later)
    for log in later.glob("data-*.log"):
        log.write_text(
            re.sub(r'(?<="at": )[0-9]+', lambda at: str(int(at[0]) + 9), log.read_text())
        )
    assert offline_folders.read_containers(tmp_path)[1].fields["sys/created"] > began
    assert backend.load_runs(tmp_path)["sys/created"].item() == began
