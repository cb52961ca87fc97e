"""Pictures by the graphics of terminals, read back from the bytes that a terminal would get."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table

from dcgan.cli import terminal_picture
from dcgan.cli.terminal_graphics import GraphicPicture, kitty_code, sixel_code
from dcgan.cli.terminal_picture import Drawing, detect_protocol, drawing_of, first_images
from tests.support.terminal_screen import screen_of, sixel_pixels

GRAPHICS = ("kitty", "iterm", "sixel")


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def console(file: io.StringIO | None = None, **options: object) -> Console:
    settings = {"force_terminal": True, "color_system": "truecolor", "width": 80, "height": 30}
    return Console(file=file or Terminal(), **(settings | options))  # type: ignore[arg-type]


def grid() -> PIL.Image.Image:
    """Nine by nine images of 8 x 8 random greys, with their borders: 92 pixels along each side."""
    greys = np.random.default_rng(0).integers(0, 256, (92, 92), np.uint8)
    return PIL.Image.fromarray(greys).convert("RGB")


@pytest.mark.parametrize("protocol", GRAPHICS)
def test_a_picture_is_drawn_pixel_by_pixel_in_its_room(protocol: str) -> None:
    drawing = Drawing(protocol, (9, 18))  # type: ignore[arg-type]
    picture = first_images(grid(), (8, 8), (40, 17), drawing)
    assert isinstance(picture, GraphicPicture)
    # 40 characters and 16 lines have room for 360 x 288 pixels: three times the grid.
    enlarged = np.kron(np.asarray(grid()), np.ones((3, 3, 1), np.uint8))
    assert (picture.columns, picture.lines) == (31, 16)  # of 276 x 276 pixels
    terminal = console()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row("\n".join(["panel"] * 20), picture)
    with Live(console=terminal, auto_refresh=False) as live:
        for _ in range(2):
            live.update(table, refresh=True)
    screen = screen_of(terminal.file.getvalue())  # type: ignore[attr-defined]
    assert len(screen.pictures) >= 2
    for row, column, pixels in screen.pictures:
        assert (row, column) == (0, 7)
        assert screen.room(row, column, picture.lines, picture.columns).strip() == ""
        assert screen.room(0, 0, 1, 5) == "panel"
        if protocol == "sixel":
            assert np.array_equal(pixels, np.rint(np.rint(enlarged / 2.55) * 2.55))
        else:
            assert pixels.shape == (16 * 18, 31 * 9, 4)
            assert np.array_equal(pixels[:276, :276, :3], enlarged)
            assert (pixels[:276, :276, 3] == 255).all()
            assert not pixels[276:, :, 3].any() and not pixels[:, 276:, 3].any()
    if protocol == "kitty":
        names = {(keys["i"], keys["c"], keys["r"], keys["C"], keys["q"]) for keys in screen.keys}
        assert names == {(str(os.getpid()), "31", "16", "1", "2")}
    if protocol == "iterm":
        assert {(keys["width"], keys["height"]) for keys in screen.keys} == {("31", "16")}


def test_a_large_picture_is_sent_in_parts() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 70, 3), np.uint8)
    code = kitty_code(PIL.Image.fromarray(pixels), 7, 5, 9)
    [(_, _, shown)] = screen_of(code).pictures
    assert code.count("\x1b_G") > 4
    assert np.array_equal(shown, pixels)


def test_sixels_of_many_colours_have_the_nearest_of_256() -> None:
    draws = np.random.default_rng(2)
    few = draws.integers(0, 101, (250, 3)).astype(np.uint8)[draws.integers(0, 250, (31, 47))]
    exact = np.rint(few * 2.55).astype(np.uint8)
    code = sixel_code(PIL.Image.fromarray(exact))
    assert np.array_equal(sixel_pixels(code[2:-2]), exact)
    ramp = np.indices((64, 64)).transpose(1, 2, 0).astype(np.uint8) * 4
    many = np.dstack([ramp, ramp[::-1, :, 0]])
    shown = sixel_pixels(sixel_code(PIL.Image.fromarray(many))[2:-2]).astype(int)
    assert abs(shown - many).mean() < 6
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 200


def test_images_that_would_be_too_small_are_left_out() -> None:
    picture = first_images(grid(), (8, 8), (10, 5), Drawing("kitty", (8, 16)))
    assert isinstance(picture, GraphicPicture)
    # 80 x 64 pixels have room for 5 x 4 images of 16: they are shown in 52 x 42 pixels and a half.
    assert (picture.columns, picture.lines) == (7, 3)


KITTY = {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}
XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({}, "blocks"),
        (XTERM, "blocks"),
        (KITTY, "kitty"),
        ({"TERM": "xterm-kitty"}, "kitty"),  # by ssh
        (XTERM | {"KITTY_WINDOW_ID": "1"}, "kitty"),
        (XTERM | {"KITTY_WINDOW_ID": "1", "TERM_PROGRAM": "vscode"}, "blocks"),
        (XTERM | {"KITTY_WINDOW_ID": "1", "VTE_VERSION": "7600"}, "blocks"),
        ({"TERM": "linux", "KITTY_WINDOW_ID": "1"}, "blocks"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        (XTERM | {"KONSOLE_VERSION": "230804"}, "kitty"),
        (XTERM | {"KONSOLE_VERSION": "200400"}, "blocks"),
        (XTERM | {"KONSOLE_VERSION": "new"}, "blocks"),
        (XTERM | {"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        (XTERM | {"TERM_PROGRAM": "WezTerm"}, "iterm"),
        (XTERM | {"LC_TERMINAL": "iTerm2"}, "iterm"),  # by ssh
        (XTERM | {"TERM_PROGRAM": "Apple_Terminal"}, "blocks"),
        ({"TERM": "foot"}, "sixel"),
        (XTERM | {"TERM_PROGRAM": "mintty"}, "sixel"),
        (KITTY | {"TMUX": "/tmp/tmux-0/default,1,0"}, "blocks"),
        (KITTY | {"TERM": "tmux-256color"}, "blocks"),
        (KITTY | {"STY": "1.pts-0"}, "blocks"),
        ({"TERM": "screen.xterm-256color", "LC_TERMINAL": "iTerm2"}, "blocks"),
        (KITTY | {"ZELLIJ": "0"}, "blocks"),
    ],
)
def test_terminals_are_known_by_their_environment(
    environment: dict[str, str], protocol: str
) -> None:
    assert detect_protocol(environment) == protocol


def test_a_pipe_never_gets_graphics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_picture.os, "environ", KITTY)
    in_pipe = console(io.StringIO())  # FORCE_COLOR makes Rich take one for a terminal
    for wanted in ("auto", *GRAPHICS):
        drawing = drawing_of(in_pipe, wanted)
        assert drawing is None or drawing.protocol == "blocks"
    plain = console(io.StringIO(), force_terminal=False, color_system=None)
    assert drawing_of(plain, "kitty") is None
    assert drawing_of(console(), "auto") == Drawing("kitty", (8, 16))
    assert drawing_of(console(), "sixel") == Drawing("sixel", (6, 12))
    assert drawing_of(console(), "blocks") == Drawing("blocks", (1, 2))
    assert drawing_of(console(color_system=None), "blocks") is None
    assert drawing_of(console(), "none") is None


def test_a_terminal_tells_the_size_of_its_characters(tmp_path: Path) -> None:
    primary, secondary = pty.openpty()
    with os.fdopen(primary), os.fdopen(secondary, "w") as file:
        assert drawing_of(console(file), "kitty") == Drawing("kitty", (8, 16))  # type: ignore[arg-type]
        fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 80 * 11, 24 * 23))
        assert drawing_of(console(file), "sixel") == Drawing("sixel", (11, 23))  # type: ignore[arg-type]
