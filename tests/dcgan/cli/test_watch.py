"""A run watched from a terminal."""

from __future__ import annotations

import contextlib
import io
import math
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.cli.commands import watch
from tests.support import REPOSITORY
from tests.support.terminal_screen import screen_of
from tracking.backends.local import Journal, open_tracker
from tracking.events import BATCH, EPOCH, FIXED_NOISE, Fields, Image, Metrics
from tracking.lock import locked
from tracking.tracker import Run

CREATED = 1_790_000_000_000


def begin(store: Path) -> Journal:
    journal = open_tracker(Run("digits-abc234", "watched", CREATED), store)
    journal.write(Fields({"sys/status": "running"}))
    return journal


def block(first: int, last: int) -> Metrics:
    steps = list(range(first, last + 1))
    names = ("Gloss", "Dloss", "D_x", "D_G_z1")
    values = {f"{BATCH}/{name}": [math.sin(step / 9) + 1 for step in steps] for name in names}
    return Metrics(steps, [CREATED + step for step in steps], values)


def frame(store: Path) -> str:
    result = CliRunner().invoke(app, ["watch", "--store", str(store)], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    return result.output


def test_a_frame_shows_the_curves_the_step_and_the_last_grid(tmp_path: Path):
    journal = begin(tmp_path)
    assert "nothing measured yet" in frame(tmp_path)
    journal.write(block(1, 1200))
    shown = frame(tmp_path)
    assert "loss (batches)" in shown
    assert "D's output" in shown
    assert "step 1,200" in shown
    assert "last grid" not in shown
    for epoch in (1, 2, 3):
        means = {f"{EPOCH}/number": [epoch], f"{EPOCH}/Gloss": [1 / epoch]}
        journal.write(Metrics([400 * epoch], [CREATED], means))
    journal.write(Image(FIXED_NOISE, 1200, CREATED, np.zeros((4, 4, 3), np.uint8)))
    shown = frame(tmp_path)
    assert "loss (epoch means)" in shown
    assert "epoch 3" in shown
    assert "00001200.png" in shown.replace("\n", "")


@pytest.mark.parametrize("depth", [1, 60])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (120, 40), (200, 60), (40, 12)])
def test_a_frame_with_a_picture_fits_the_terminal(
    tmp_path: Path, width: int, height: int, depth: int
):
    store = tmp_path / ("s" * depth)  # the name of the last grid takes one line or several
    store.mkdir()
    journal = begin(store)
    journal.write(Fields({"config/dataset/image_size": 28}))
    journal.write(block(1, 1200))
    grid = np.zeros((242, 242, 3), np.uint8)
    grid[:, :, 0] = 200  # so that each of its pixels is red
    journal.write(Image(FIXED_NOISE, 1200, CREATED, grid))
    drawn = io.StringIO()
    console = Console(
        file=drawn, force_terminal=True, color_system="truecolor", width=width, height=height
    )
    console.print(watch._frame(journal.folder, console))
    lines = [Text.from_ansi(line).plain for line in drawn.getvalue().splitlines()]
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "00001200.png" in "".join(lines)
    if height > 12:
        assert "38;2;200;0;0;48;2;200;0;0m\N{UPPER HALF BLOCK}" in drawn.getvalue()
        ticks = {
            word for line in lines for word in line.replace("\N{UPPER HALF BLOCK}", "").split()
        }
        assert {"300", "600", "900", "1,200"} <= ticks
        (heading,) = (line for line in lines if "loss (batches)" in line)
        assert "G" in heading.split(), "the legend is beside the title, not on the curves"


def test_a_frame_has_the_whole_grid_in_the_terminals_own_graphics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = begin(tmp_path)
    journal.write(Fields({"config/dataset/image_size": 28}))
    journal.write(block(1, 1200))
    grid = np.random.default_rng(0).integers(0, 256, (242, 242, 3), dtype=np.uint8)
    journal.write(Image(FIXED_NOISE, 1200, CREATED, grid))
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal has no graphics
    console = Console(file=drawn, force_terminal=True, width=80, height=40)
    console.print(watch._frame(journal.folder, console, "kitty"))
    screen = screen_of(drawn.getvalue())
    [(row, column, pixels)] = screen.pictures
    assert np.array_equal(pixels[:242, :242, :3], grid), "no image is left out"
    lines, columns = (int(screen.keys[0][key]) for key in "rc")
    assert screen.room(row, column, lines, columns).strip() == ""
    assert column + columns <= 80
    assert max(screen.rows) < 40
    assert "loss (batches)" in screen.room(row, 0, lines, column)


def test_losses_that_are_not_finite_leave_the_rest_to_be_seen(tmp_path: Path):
    journal = begin(tmp_path)
    values = {f"{BATCH}/Gloss": [math.nan, 1.0, math.inf], f"{BATCH}/Dloss": [math.nan] * 3}
    journal.write(Metrics([1, 2, 3], [CREATED] * 3, values))
    assert "loss (batches)" in frame(tmp_path)


def test_a_terminal_is_kept_up_to_date_until_the_run_ends(tmp_path: Path):
    journal = begin(tmp_path)
    with locked(journal.folder):
        journal.write(block(1, 10))
        primary, secondary = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "dcgan", "watch", "--every", "0.2", "--store", str(tmp_path)],
            cwd=REPOSITORY,
            stdout=secondary,
            stderr=secondary,
            env={**os.environ, "COLUMNS": "80", "LINES": "40", "TERM": "xterm"},
        )
        os.close(secondary)
        seen = read_until(primary, b"step 10")
        journal.write(block(11, 777))
        seen += read_until(primary, b"step 777")
        assert process.poll() is None, seen
        journal.close("finished")
    read_until(primary, b"finished")
    with contextlib.suppress(OSError):  # the end of the terminal
        while os.read(primary, 65_536):
            pass
    assert process.wait(timeout=30) == 0


def test_the_last_frame_says_how_a_run_ended_that_ended_while_the_frame_was_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = begin(tmp_path)
    draw, ends = watch._frame, [journal.close]

    def draw_while_it_ends(*arguments: object) -> object:
        frame = draw(*arguments)
        while ends:
            ends.pop()("finished")
        return frame

    monkeypatch.setattr(watch, "_frame", draw_while_it_ends)
    with locked(journal.folder):
        result = CliRunner().invoke(
            app,
            ["watch", "--every", "0.2", "--store", str(tmp_path)],
            env={"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm"},
        )
    assert result.exit_code == 0, result.output
    assert result.output.index("running") < result.output.index("finished")


def read_until(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 60
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        try:
            seen += os.read(terminal, 65_536)
        except OSError as error:  # the process has ended
            raise AssertionError(seen) from error
    return seen
