"""The Neptune backend: the real client, offline, and against servers that are not there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import REPOSITORY
from tests.support.neptune_server import token
from tracking.backends import local
from tracking.backends import neptune as backend
from tracking.backends.neptune import offline_folders
from tracking.events import ARTIFACTS, FIXED_NOISE, GENERATOR_ARCH, REAL, Metrics
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    CREATED,
    RUN,
    STEPS,
    block,
    epoch_means,
    whole_run,
    write,
)
from tracking.tracker import Run


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("NEPTUNE_"):
            monkeypatch.delenv(name)


def run_python(code: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_neptunes_own_operations_have_the_published_paths(tmp_path: Path) -> None:
    from neptune.internal.operation import AddStrings, LogFloats, LogImages, UploadFile

    write(backend.open_tracker(RUN, tmp_path), whole_run(tmp_path))

    [folder] = (tmp_path / "neptune" / "offline").iterdir()
    by_kind: dict[type, set[str]] = {}
    for operation, _ in offline_folders.read_operations(folder):
        by_kind.setdefault(type(operation), set()).add("/".join(operation.path))
    assert {"training/batch/Gloss", "training/batch/Dloss"} < by_kind[LogFloats]
    assert by_kind[LogImages] == {FIXED_NOISE, REAL}
    assert {GENERATOR_ARCH, f"{ARTIFACTS}/recipe"} < by_kind[UploadFile]
    assert by_kind[AddStrings] == {"sys/tags", "sys/group_tags"}


def test_nothing_of_an_interrupted_run_is_sent_twice(tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    first, journal = backend.open_tracker(RUN, tmp_path), local.open_tracker(RUN, tmp_path)
    write(journal, events)
    for event in (*events[:3], block(1, 1_300), epoch_means(1_250), events[6]):
        first.write(event)

    again = backend.open_tracker(RUN, tmp_path)
    write(again, Ledger(again.held()).missing(local.read_events(journal.folder)))

    points = [
        point
        for container in offline_folders.read_containers(tmp_path)
        for point in container.points
    ]
    assert len(points) == len({point[:2] for point in points}) == 2 * STEPS + 2


def test_reading_every_run_in_turn_reads_each_folder_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"run-{number}" for number in range(4)]
    for number, run in enumerate(ids):
        tracker = backend.open_tracker(Run(run, run, CREATED), tmp_path)
        tracker.write(Metrics([1], [1], {"training/batch/Gloss": [number]}))
        tracker.close("finished")
    opened: list[Path] = []
    read_operations = offline_folders.read_operations

    def counted(folder: Path) -> Iterator[tuple[Any, float]]:
        opened.append(folder)
        return read_operations(folder)

    monkeypatch.setattr(offline_folders, "read_operations", counted)
    for number, run in enumerate(ids):
        assert backend.load_last_values(tmp_path, run)["training/batch/Gloss"] == number
    assert max(Counter(opened).values()) == 2  # once for its run's id, once for its content
    assert len(Counter(opened)) == len(ids)


def test_a_run_is_found_although_its_folder_was_read_before_it_had_an_id(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.close("finished")
    [log] = (tmp_path / "neptune" / "offline").glob("*/data-1.log")
    content = log.read_bytes()
    log.write_bytes(b"")
    assert offline_folders.read_containers(tmp_path, RUN.id) == []
    log.write_bytes(content)
    [container] = offline_folders.read_containers(tmp_path, RUN.id)
    assert container.run == RUN.id


def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from tracking.backends import neptune
from tracking.events import Metrics
from tracking.tracker import Run
tracker = neptune.open_tracker(Run({RUN.id!r}, {RUN.name!r}, {CREATED}), Path({str(tmp_path)!r}))
step = 0
while True:
    step += 1
    tracker.write(Metrics([step], [step], {{"training/batch/Gloss": [step / 7]}}))
    print(step, flush=True)
"""
    process = run_python(code, tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 300:
            break
    process.send_signal(signal.SIGKILL)
    written = int(line)
    process.communicate()
    steps = backend.load_steps(tmp_path, RUN.id)
    assert steps["step"].iloc[-1] >= written
    assert list(steps["step"]) == list(range(1, len(steps) + 1))
    np.testing.assert_array_equal(steps["training/batch/Gloss"], steps["step"] / 7)


def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    tracker = backend.open_tracker(RUN, tmp_path)
    tracker.write(Metrics([1, 2], [1, 2], {"training/batch/Gloss": [0.1, 0.2]}))
    [log] = (tmp_path / "neptune" / "offline").glob("*/data-1.log")
    content = log.read_bytes()
    tracker.write(Metrics([3], [3], {"training/batch/Gloss": [0.3]}))
    log.write_bytes(log.read_bytes()[: len(content) + 60])
    assert list(backend.load_steps(tmp_path, RUN.id)["step"]) == [1, 2]
    tracker.close("finished")


def test_the_client_says_nothing_leaves_nothing_and_ends_at_once(tmp_path: Path) -> None:
    code = f"""
import sys, threading, time
from pathlib import Path
from tracking.backends import neptune
from tracking.events import Metrics
from tracking.tracker import Run
hook = sys.excepthook
def work():
    for name in ("one", "two"):
        run = Run(f"run-{{name}}", name, {CREATED})
        tracker = neptune.open_tracker(run, Path({str(tmp_path)!r}) / name)
        tracker.write(Metrics([1], [1], {{"training/batch/Gloss": [0.5]}}))
        if name == "one":
            tracker.close("finished")
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert sys.excepthook is hook
"""
    (tmp_path / "cwd").mkdir()
    output, errors = run_python(code, tmp_path / "cwd").communicate(timeout=60)
    assert (output, errors) == ("", "")
    assert list((tmp_path / "cwd").iterdir()) == []
    for name in ("one", "two"):
        assert list(backend.load_runs(tmp_path / name).index) == [f"run-{name}"]


@contextmanager
def refusing() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def unknown() -> Iterator[str]:
    yield "http://no-such-host.invalid"


@contextmanager
def silent() -> Iterator[str]:
    """It accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def not_neptune() -> Iterator[str]:
    """It answers, but knows nothing of what the client asks."""
    handler = type("Quiet", (BaseHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("host", [refusing, unknown, silent, not_neptune])
def test_a_server_that_is_not_there_leaves_the_run_offline(
    tmp_path: Path, host: Callable[[], AbstractContextManager[str]]
) -> None:
    code = f"""
import time
began = time.monotonic()
from pathlib import Path
from tracking.backends import neptune
from tracking.events import Metrics
from tracking.tracker import Run
tracker = neptune.open_tracker(Run({RUN.id!r}, {RUN.name!r}, {CREATED}), Path({str(tmp_path)!r}))
print(time.monotonic() - began)
tracker.write(Metrics([1], [1], {{"training/batch/Gloss": [0.5]}}))
tracker.close("finished")
"""
    with host() as address:
        process = run_python(
            code, tmp_path, NEPTUNE_API_TOKEN=token(address), NEPTUNE_PROJECT="space/project"
        )
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert float(output) < 15  # 10 s are promised, 4 s are waited, and the machine may be busy
    assert errors.count("the run is kept offline") == 1
    assert len(backend.load_steps(tmp_path, RUN.id)) == 1


@pytest.mark.parametrize("garbage", ["no token", "e30=", "bnVsbA=="])
def test_a_token_that_is_none_leaves_the_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, garbage: str
) -> None:
    monkeypatch.setenv("NEPTUNE_API_TOKEN", garbage)
    monkeypatch.setenv("NEPTUNE_PROJECT", "space/project")
    write(backend.open_tracker(RUN, tmp_path), [block(1, 3)])
    assert len(caplog.messages) == 1
    assert "the run is kept offline" in caplog.text
    assert len(backend.load_steps(tmp_path, RUN.id)) == 3
