"""The Neptune backend online: the real client against a server that keeps what arrives."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
import pytest
from pandas.testing import assert_frame_equal

from tests.support import REPOSITORY
from tests.support.neptune_server import Attribute, NeptuneServer, neptune_server
from tracking.backends import local
from tracking.backends import neptune as backend
from tracking.errors import StoreError
from tracking.events import (
    ARTIFACTS,
    FIXED_NOISE,
    GENERATOR_ARCH,
    REAL,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import from_text
from tracking.replay import Ledger
from tracking.tables import Point, run_table, step_table
from tracking.testing.sample_run import RUN, STEPS, whole_run, write
from tracking.tracker import Held


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NeptuneServer]:
    with neptune_server() as running:
        monkeypatch.setenv("NEPTUNE_API_TOKEN", running.token)
        monkeypatch.setenv("NEPTUNE_PROJECT", running.project)
        monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # it speaks plain http
        yield running


def assert_same_as_journal(attributes: dict[str, Attribute], store: Path) -> None:
    """Every value, point, picture and file of the journal arrived, once and complete."""
    fields, points = tables(attributes)
    assert_frame_equal(run_table({RUN.id: fields}), local.load_runs(store))
    assert len(points) == len({point[:2] for point in points})
    assert_frame_equal(step_table(RUN.id, points), local.load_steps(store, RUN.id))
    events = list(local.read_events(store / RUN.id))
    assert pictures(attributes) == {
        (event.path, event.step): (event.time, event.pixels.tobytes())
        for event in events
        if isinstance(event, Image)
    }
    for event in events:
        match event:
            case Text(path, content):
                assert attributes[path].value == content.encode()
            case File(path, source):
                assert attributes[path].value == source.read_bytes()


def tables(attributes: dict[str, Attribute]) -> tuple[dict[str, Value], list[Point]]:
    """What arrived, in the terms of the journal."""
    fields: dict[str, Value] = {}
    points: list[Point] = []
    for path, attribute in attributes.items():
        series = path.removeprefix("non_finite/")
        field = path.replace("provenance/", "sys/", 1)
        full_text = attributes.get(f"long_fields/{field}")
        match attribute.type:
            case "floatSeries" | "stringSeries":
                points += [(series, p.step, p.time, float(p.value)) for p in attribute.value]
            case "string" if path.startswith(("config/", "health/", "provenance/")):
                is_cut = full_text is not None and len(attribute.value) == 16_384
                fields[field] = from_text(full_text.value.decode() if is_cut else attribute.value)
            case "int" | "float" | "bool" if path.startswith(("config/", "health/", "provenance/")):
                fields[field] = attribute.value
    return fields, points


def pictures(attributes: dict[str, Attribute]) -> dict[tuple[str, int], tuple[int, bytes]]:
    arrived = {
        (path, point.step): (point.time, np.asarray(decoded(point.value)).tobytes())
        for path, attribute in attributes.items()
        if attribute.type == "imageSeries"
        for point in attribute.value
    }
    series = [each.value for each in attributes.values() if each.type == "imageSeries"]
    assert len(arrived) == sum(map(len, series))
    return arrived


def decoded(content: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(content))


def write_journal(store: Path, events: list[Event]) -> None:
    write(local.open_tracker(RUN, store), events)


def sync(path: Path) -> None:
    """What the command `neptune sync --path PATH` does; it wants a folder named .neptune there."""
    from neptune.cli.commands import sync as command

    command.main(["--path", str(path)], standalone_mode=False)


def test_a_run_arrives_value_for_value(server: NeptuneServer, tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    write_journal(tmp_path, events)
    tracker = backend.open_tracker(RUN, tmp_path)
    assert tracker.held() == Held()
    write(tracker, events)

    attributes = server.runs[RUN.id]
    assert_same_as_journal(attributes, tmp_path)
    assert attributes["non_finite/training/batch/Gloss"].type == "stringSeries"
    assert len(attributes["training/batch/Gloss"].value) == STEPS - 3
    assert set(pictures(attributes)) == {(FIXED_NOISE, 500), (FIXED_NOISE, 1_000), (REAL, 1)}
    assert attributes["sys/name"] == Attribute("string", RUN.name)
    assert attributes["sys/tags"] == Attribute("stringSet", {"baseline", "long run"})
    assert attributes["sys/group_tags"] == Attribute("stringSet", {"rates"})
    assert attributes["sys/failed"] == Attribute("bool", False)
    assert attributes["provenance/status"] == Attribute("string", "finished")
    assert list((tmp_path / "neptune" / "async").iterdir()) == []


def test_a_failure_arrives(server: NeptuneServer, tmp_path: Path) -> None:
    write(backend.open_tracker(RUN, tmp_path), [], "failed")
    assert server.runs[RUN.id]["sys/failed"].value is True
    assert server.runs[RUN.id]["provenance/status"].value == "failed"


def test_an_offline_run_is_sent_by_neptune_sync(
    server: NeptuneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = whole_run(tmp_path)
    write_journal(tmp_path, events)
    with monkeypatch.context() as without:
        without.delenv("NEPTUNE_API_TOKEN")
        write(backend.open_tracker(RUN, tmp_path), events)
    assert server.runs == {}

    # It deletes what it sends.
    shutil.copytree(tmp_path / "neptune", tmp_path / "copy" / ".neptune")
    sync(tmp_path / "copy")
    [attributes] = server.runs.values()
    assert_same_as_journal(attributes, tmp_path)
    assert len(backend.load_steps(tmp_path, RUN.id)) == STEPS


def begin_in_a_process(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process that opens the run, then runs `code`, which knows `tracker` and `events`."""
    program = f"""
import sys
from pathlib import Path
from tracking.testing.sample_run import RUN, block, picture, whole_run
from tracking.backends import neptune as backend
from tracking.backends.neptune import writing
from tracking.events import FIXED_NOISE, Fields
folder = Path({str(folder)!r})
events = whole_run(folder)
writing.STOP_SECONDS = 3
tracker = backend.open_tracker(RUN, folder)
{code}
"""
    path = str(REPOSITORY)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def await_line(stream: IO[str] | None, line: str) -> None:
    assert stream is not None
    assert stream.readline().strip() == line


# In this order some of it is sent; then half a block is on the disk and not sent, the rest lost.
KILLED_WHILE_SENDING = """
for event in (*events[:2], block(1, 1_300), events[6]):
    tracker.write(event)
tracker._run.wait()
tracker._run._op_processor.pause()
for event in (block(1_301, 1_400), events[7]):
    tracker.write(event)
tracker._run.wait(disk_only=True)
tracker.write(block(1_401, 1_450))
print("written", flush=True)
sys.stdin.read()
"""


def test_a_killed_run_goes_on_and_nothing_is_sent_twice(
    server: NeptuneServer, tmp_path: Path
) -> None:
    write_journal(tmp_path, whole_run(tmp_path))
    process = begin_in_a_process(tmp_path, KILLED_WHILE_SENDING)
    await_line(process.stdout, "written")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [unsent] = (tmp_path / "neptune" / "async").iterdir()

    again = backend.open_tracker(RUN, tmp_path)
    assert again.held() == Held(
        last_step={"training/batch/Gloss": 1_300, "training/batch/Dloss": 1_300},
        images=frozenset({(FIXED_NOISE, 500)}),
        files=again.held().files,
    )
    assert GENERATOR_ARCH in again.held().files
    assert f"{ARTIFACTS}/recipe" not in again.held().files
    write(again, Ledger(again.held()).missing(local.read_events(tmp_path / RUN.id)))

    assert_same_as_journal(server.runs[RUN.id], tmp_path)
    assert not unsent.exists()
    (tmp_path / ".neptune").symlink_to("neptune")
    sync(tmp_path)
    assert_same_as_journal(server.runs[RUN.id], tmp_path)


def test_a_run_that_is_complete_is_not_sent_again(server: NeptuneServer, tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    write_journal(tmp_path, events)
    write(backend.open_tracker(RUN, tmp_path), events)

    for _ in range(2):
        again = backend.open_tracker(RUN, tmp_path)
        missing = list(Ledger(again.held()).missing(events))
        assert [type(event) for event in missing] == [Fields]
        write(again, missing)
    assert_same_as_journal(server.runs[RUN.id], tmp_path)
    assert list(server.runs) == [RUN.id]


def test_a_diverging_run_holds_a_prefix_wherever_it_is_cut(
    server: NeptuneServer, tmp_path: Path
) -> None:
    nan, path = float("nan"), "training/batch/Gloss"
    values = [1.0, nan, 2.0, nan, nan, 3.0]
    tracker = backend.open_tracker(RUN, tmp_path)
    order: list[tuple[str, list[int]]] = []
    extend = type(tracker._run["any"]).extend

    def noted(handler: Any, sent: list[float], *, steps: list[int], **rest: Any) -> None:
        order.append((handler._path, steps))
        extend(handler, sent, steps=steps, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tracker._run["any"]), "extend", noted)
        tracker.write(Metrics(range(1, 7), range(1, 7), {path: values}))
    tracker.close("finished")
    other = f"non_finite/{path}"
    assert order == [(path, [1]), (other, [2]), (path, [3]), (other, [4, 5]), (path, [6])]
    again = backend.open_tracker(RUN, tmp_path)
    assert again.held().last_step == {path: 6}
    again.close("finished")


# Its line says how long the longest call took and what closing raised.
SERVER_DIES = """
import time
for event in events[:4]:
    tracker.write(event)
tracker._run.wait()
print("sent", flush=True)
sys.stdin.readline()
longest = 0.0
for event in events[4:]:
    began = time.monotonic()
    tracker.write(event)
    longest = max(longest, time.monotonic() - began)
began = time.monotonic()
try:
    tracker.close("finished")
except Exception as error:
    print(longest, time.monotonic() - began, type(error).__name__, flush=True)
"""


def test_what_a_dead_server_missed_is_sent_by_neptune_sync(
    server: NeptuneServer, tmp_path: Path
) -> None:
    write_journal(tmp_path, whole_run(tmp_path))
    process = begin_in_a_process(tmp_path, SERVER_DIES)
    await_line(process.stdout, "sent")
    server.stop()
    output, _ = process.communicate("\n", timeout=60)
    longest, closing, error = output.split()
    assert process.returncode == 0
    assert float(longest) < 5
    assert float(closing) < 15  # of which 3 s are its own patience
    assert error == StoreError.__name__
    assert len(list((tmp_path / "neptune" / "async").iterdir())) == 1
    assert pictures(server.runs[RUN.id]) == {}

    server.start()
    (tmp_path / ".neptune").symlink_to("neptune")
    sync(tmp_path)
    assert_same_as_journal(server.runs[RUN.id], tmp_path)
    assert list((tmp_path / "neptune" / "async").iterdir()) == []


def test_a_server_that_comes_back_gets_all_of_it(server: NeptuneServer, tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    write_journal(tmp_path, events)
    tracker = backend.open_tracker(RUN, tmp_path)
    for event in events[:3]:
        tracker.write(event)
    server.stop()
    threading.Timer(2, server.start).start()
    write(tracker, events[3:])
    assert_same_as_journal(server.runs[RUN.id], tmp_path)
