"""The W&B backend: what the client's log has, damage to it, and a service that ends or hangs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import psutil
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.waiting import wait_until
from tracking.backends import local
from tracking.backends import wandb as backend
from tracking.backends.wandb import writing
from tracking.backends.wandb.client import service_processes
from tracking.backends.wandb.log_file import read_records
from tracking.errors import StoreError, StoreWarning
from tracking.events import FIXED_NOISE, GENERATOR_ARCH, Event, Fields, Metrics
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    CREATED,
    RUN,
    assert_same_as_journal,
    block,
    content,
    picture,
    whole_run,
    write,
)
from tracking.tracker import Status

GLOSS = "training/batch/Gloss"


@pytest.fixture(autouse=True)
def _no_service_stays() -> Any:
    yield
    assert service_processes() == []
    assert "WANDB_SERVICE" not in os.environ


def small_run(folder: Path) -> list[Event]:
    """The sample run with a block of a hundred steps."""
    fields, text, file, _, *others = whole_run(folder)
    return [fields, text, file, block(1, 100), *others]


def log_of(store: Path, session: int = -1) -> Path:
    return sorted(store.glob("wandb/*/run-*.wandb"))[session]


def records(store: Path, kind: str, session: int = -1) -> list[Any]:
    """The records of one kind in the log of one session."""
    found = (record for record, _ in read_records(log_of(store, session)))
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def test_the_clients_log_has_what_wandb_shows(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), small_run(tmp_path))
    folder = log_of(tmp_path).parent
    assert folder.name.startswith("offline-run-")

    *_, run = records(tmp_path, "run")
    assert (run.run_id, run.display_name, run.project) == (RUN.id, RUN.name, "dcgan")
    assert list(run.tags) == ["baseline", "long run"]
    summary: dict[str, Any] = {}
    for record in records(tmp_path, "summary"):
        for item in record.update:
            summary["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    assert summary["training/batch/Dloss"] == 1 / 100
    assert summary["training/epoch/Gloss"] == 1 / 3
    rows = [
        {item.nested_key[0]: item.value_json for item in row.item}
        for row in records(tmp_path, "history")
    ]
    steps = [int(row["global_step"]) for row in rows if GLOSS in row]
    assert steps == list(range(1, 101))
    assert [int(row["_step"]) for row in rows] == list(range(len(rows)))
    assert float(rows[0]["_timestamp"]) == (CREATED + 10) / 1000
    metrics = {record.name or record.glob_name for record in records(tmp_path, "metric")}
    assert {"global_step", "*"} <= metrics
    saved = [file.path for record in records(tmp_path, "files") for file in record.files]
    assert f"{GENERATOR_ARCH}.txt" in saved
    with PIL.Image.open(next(folder.glob("files/media/images/images/fixed_noise_*.png"))) as png:
        assert png.tobytes() in {picture(FIXED_NOISE, n).pixels.tobytes() for n in (500, 1_000)}
    [end] = records(tmp_path, "exit")
    assert end.exit_code == 0

    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.check_output(command, env=environment, timeout=60, text=True)
    shown = json.loads(printed)  # by the client's own reader
    assert (shown["name"], shown["state"], shown["tags"]) == (RUN.name, "finished", list(run.tags))
    assert shown["config"]["config/values/float"] == 2e-4
    assert shown["summary"]["training/batch/Dloss"] == 1 / 100


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("interrupted", 1)])
def test_the_exit_code_tells_how_the_run_ended(status: Status, code: int, tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.close(status)
    [end] = records(tmp_path, "exit")
    assert end.exit_code == code


def test_a_resumed_run_has_a_second_folder_and_counts_its_rows_on(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), [block(1, 20)], "interrupted")
    again = backend.open_tracker(RUN, tmp_path)
    write(again, Ledger(again.held()).missing([block(1, 30)]))

    rows = [
        int(item.value_json)
        for row in records(tmp_path, "history")
        for item in row.item
        if item.nested_key[0] == "_step"
    ]
    assert rows == list(range(20, 30))
    assert list(backend.load_steps(tmp_path, RUN.id)["step"]) == list(range(1, 31))


def test_of_a_torn_log_every_whole_record_is_read(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), [block(1, 300), picture(FIXED_NOISE, 5)])
    log = log_of(tmp_path)
    whole = log.read_bytes()
    assert len(whole) > 2 * 32 * 1024  # records are cut at the ends of blocks
    steps = backend.load_steps(tmp_path, RUN.id)
    lengths = np.random.default_rng(1).integers(4_000, len(whole), 8)
    for length in [32 * 1024 - 3, 32 * 1024, 32 * 1024 + 5, *lengths]:
        log.write_bytes(whole[:length])
        part = backend.load_steps(tmp_path, RUN.id)
        assert_frame_equal(part, steps.iloc[: len(part)])
    log.write_bytes(whole[:3])
    assert backend.load_runs(tmp_path).empty


def test_a_damaged_log_is_read_up_to_the_damage_and_told_of(tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), [block(1, 300)])
    log = log_of(tmp_path)
    damaged = bytearray(log.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    log.write_bytes(damaged)
    with pytest.warns(StoreWarning, match=r"is damaged before byte [\d,]+: the rest is left out"):
        steps = backend.load_steps(tmp_path, RUN.id)
    assert list(steps["step"]) == list(range(1, len(steps) + 1))
    assert 0 < len(steps) < 300
    log.write_bytes(b"something else")
    with pytest.warns(StoreWarning, match="is not a W&B log"):
        assert backend.load_runs(tmp_path).empty


def test_a_service_that_ends_costs_an_error_and_nothing_that_was_written(tmp_path: Path) -> None:
    write(local.open_tracker(RUN, tmp_path / "journal"), small_run(tmp_path))
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.write(block(1, 70))
    [service] = service_processes()
    service.kill()
    with pytest.raises((StoreError, ConnectionError)):
        tracker.write(block(71, 100))

    again = backend.open_tracker(RUN, tmp_path)
    journal = local.load_events(tmp_path / "journal", RUN.id)
    write(again, Ledger(again.held()).missing(journal))
    assert_same_as_journal(backend, tmp_path, tmp_path / "journal")


def test_a_service_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "ANSWER_SECONDS", 0.3)
    tracker = backend.open_tracker(RUN, tmp_path)
    [service] = service_processes()
    service.suspend()
    with pytest.raises(StoreError, match="The service of W&B has not written for 0 s"):
        tracker.write(block(1, 3))
    assert service_processes() == []


def test_a_process_ends_though_its_service_hangs(tmp_path: Path) -> None:
    code = """
import contextlib, sys, threading, time
from pathlib import Path
from tracking.backends.wandb import open_tracker
from tracking.backends.wandb.client import service_processes
from tracking.events import Metrics
from tracking.tracker import Run

hooks = sys.excepthook, sys.exit
tracker = open_tracker(Run("left", "left", 1), Path(sys.argv[1]))
assert (sys.excepthook, sys.exit) == hooks
[service] = service_processes()
service.suspend()
events = [Metrics([step], [step], {"a": [0.5]}) for step in range(1, 20_000)]

def write():
    with contextlib.suppress(Exception):
        for event in events:
            tracker.write(event)

threading.Thread(target=write, daemon=True).start()
time.sleep(0.3)
print(service.pid)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stderr == ""
    service = int(ended.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(service).status() == psutil.STATUS_ZOMBIE


def test_without_a_network_and_a_key_nothing_is_asked_and_nothing_printed(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tracking.backends.wandb import open_tracker
from tracking.events import Metrics
from tracking.tracker import Run

tracker = open_tracker(Run("plain", "plain", 1), Path({str(tmp_path / "runs")!r}))
tracker.write(Metrics([1], [1], {{"a": [0.5]}}))
tracker.close("finished")
"""
    controller, terminal = pty.openpty()  # where a client that asks would find somebody to ask
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"HOME": str(tmp_path / "home"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    client = subprocess.Popen([sys.executable, "-c", code], env=environment, **streams)
    client.wait(timeout=60)
    os.close(terminal)
    os.set_blocking(controller, False)
    try:
        printed = os.read(controller, 10_000)
    except OSError:  # nothing was, and nobody holds the other end
        printed = b""
    os.close(controller)
    assert (client.returncode, printed) == (0, b"")
    assert list(backend.load_steps(tmp_path / "runs", "plain")["a"]) == [0.5]


def test_online_without_a_key_the_run_is_kept_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    backend.open_tracker(RUN, tmp_path).close("finished")
    assert "WANDB_API_KEY is not set, the run is kept offline" in caplog.text
    assert log_of(tmp_path).parent.name.startswith("offline-run-")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which another program has tracked a run, resumed once."""
    import wandb

    folder = tmp_path_factory.mktemp("foreign")
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for session in range(2):
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        with wandb.init(
            mode="offline",
            dir=folder,
            id="theirs1",
            name="their run",
            project="faces",
            tags=["old", "good"],
            config={"lr": 2e-4, "net": {"width": 64, "act": ["relu", None]}},
            settings=settings,
        ) as run:
            for step in range(3 * session, 3 * session + 3):
                row = {"loss": step / 7, "D": {"real": step, "fake": math.nan}, "note": "text"}
                run.log({**row, "samples": wandb.Image(pixels)}, step=step)
            run.log({"grid": [wandb.Image(pixels)] * 2}, step=3 * session + 3)
            run.summary["best"] = 0.25
            (Path(run.dir) / "notes.md").write_text("their notes")
            (Path(run.dir) / "notes.csv").write_text("1,2")
    wandb.teardown()
    os.environ.pop("WANDB_SERVICE", None)
    return folder


@pytest.mark.parametrize("part", [".", "wandb"])
def test_a_run_of_another_program_is_imported(part: str, foreign: Path, tmp_path: Path) -> None:
    arguments = ["import", str(foreign / part), "--from", "wandb", "--store", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--rename", "config/lr=config/optimizer/lr"])
    assert result.exit_code == 0, result.output

    fields = local.load_runs(tmp_path).loc["theirs1"]
    assert fields["config/optimizer/lr"] == 2e-4
    assert fields["config/net/width"] == 64
    assert fields["config/net/act"] == ["relu", None]
    assert fields["sys/name"] == "their run"
    assert fields["sys/tags"] == ["old", "good"]
    assert fields["sys/project"] == "faces"
    assert fields["sys/status"] == "finished"
    assert fields["sys/summary/best"] == 0.25
    steps = local.load_steps(tmp_path, "theirs1")
    rows = steps[steps["loss"].notna()]
    assert list(rows["step"]) == list(range(6))
    assert list(rows["loss"]) == [step / 7 for step in range(6)]
    assert list(rows["D.real"]) == list(range(6))
    loaded = content(local.load_events(tmp_path, "theirs1"))
    images, artifacts = loaded["images"], loaded["artifacts"]
    assert isinstance(images, dict)
    assert isinstance(artifacts, dict)
    assert {(path, step) for path, step in images if path == "images/samples"} == {
        ("images/samples", step) for step in range(6)
    }
    assert ("images/grid/1", 3) in images
    assert artifacts["io_files/artifacts/notes"] == (".csv", b"1,2")
    assert artifacts["io_files/artifacts/notes_md"] == (".md", b"their notes")
    assert math.isnan(local.load_last_values(tmp_path, "theirs1")["D.fake"])
    again = CliRunner().invoke(app, arguments)
    assert "up to date" in again.output


def test_an_import_reads_no_file_outside_the_folder(tmp_path: Path) -> None:
    store = tmp_path / "store"
    write(backend.open_tracker(RUN, store), [Fields({"config/a": 1}), picture(FIXED_NOISE, 5)])
    [image] = store.glob("wandb/*/files/media/images/images/*.png")
    secret = tmp_path / "secret.png"
    image.rename(secret)
    image.symlink_to(secret)
    with pytest.warns(StoreWarning, match="is left out: it is not in"):
        events = list(backend.load_events(store, RUN.id))
    assert content(events)["images"] == {}


def test_the_run_reads_back_while_it_is_written(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    for step in range(1, 4):
        tracker.write(Metrics([step], [CREATED], {GLOSS: [step / 7]}))
        assert backend.load_last_values(tmp_path, RUN.id) == {GLOSS: step / 7}
    tracker.close("finished")
    wait_until(lambda: service_processes() == [])
