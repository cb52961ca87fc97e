"""A terminal that has what kitty, iTerm2 and sixel terminals have: text, a cursor, pictures."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field

import numpy as np
import PIL.Image

_SEQUENCE = re.compile(
    r"\x1b_G(?P<kitty>[^\x1b]*)\x1b\\"
    r"|\x1b\]1337;File=(?P<iterm>[^\x07]*)\x07"
    r"|\x1bP(?P<sixel>[^\x1b]*)\x1b\\"
    r"|\x1b\[(?P<csi>[?\d;]*)(?P<letter>[A-Za-z])"
    r"|\x1b(?P<cursor>[78])"
    r"|(?P<text>[^\x1b])"
)


@dataclass
class Screen:
    """What was printed.

    Attributes:
        rows: The characters.
        pictures: Row, column and pixels of each picture, in the order of drawing.
        keys: The parameters with which each was drawn.
    """

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    pictures: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    keys: list[dict[str, str]] = field(default_factory=list)

    def room(self, row: int, column: int, lines: int, columns: int) -> str:
        """The characters in a rectangle."""
        return "".join(
            self.rows.get(y, {}).get(x, " ")
            for y in range(row, row + lines)
            for x in range(column, column + columns)
        )


def screen_of(output: str) -> Screen:
    """What a terminal shows of this; raises AssertionError on what it would not understand."""
    screen, row, column, saved = Screen(), 0, 0, (0, 0)
    payload: list[str] = []
    at = 0
    while at < len(output):
        match = _SEQUENCE.match(output, at)
        assert match, repr(output[at : at + 40])
        at = match.end()
        kind = match.lastgroup
        if kind == "kitty":
            control, _, data = match["kitty"].partition(";")
            keys = dict(pair.split("=") for pair in control.split(","))
            if "a" in keys:
                assert not payload, "a picture begins before the last one ends"
                screen.keys.append(keys)
            assert len(data) <= 4096
            payload.append(data)
            if keys["m"] == "0":
                screen.pictures.append((row, column, _pixels("".join(payload))))
                payload = []
        elif kind == "iterm":
            control, _, data = match["iterm"].partition(":")
            screen.keys.append(dict(pair.split("=") for pair in control.split(";")))
            assert int(screen.keys[-1]["size"]) == len(base64.b64decode(data))
            screen.pictures.append((row, column, _pixels(data)))
        elif kind == "sixel":
            screen.keys.append({})
            screen.pictures.append((row, column, sixel_pixels(match["sixel"])))
        elif kind == "letter":
            if match["letter"] == "A":
                row -= int(match["csi"] or 1)
            elif match["letter"] == "K":
                screen.rows[row] = {}
            else:
                assert match["letter"] in "mlh", match[0]
        elif kind == "cursor":
            (row, column), saved = (
                (saved if match["cursor"] == "8" else (row, column)),
                ((row, column) if match["cursor"] == "7" else saved),
            )
        elif match["text"] == "\n":
            row, column = row + 1, 0
        elif match["text"] == "\r":
            column = 0
        else:
            screen.rows.setdefault(row, {})[column] = match["text"]
            column += 1
    return screen


def sixel_pixels(content: str) -> np.ndarray:
    """The pixels, uint8 (H, W, 3), of what stands between DCS and ST."""
    header, _, data = content.partition("q")
    assert header == "0;1", header
    raster = re.match(r'"1;1;(\d+);(\d+)', data)
    assert raster
    width, height = int(raster[1]), int(raster[2])
    pixels = np.full((height + 6, width, 3), 255, np.uint8)
    is_drawn = np.zeros((height + 6, width), bool)
    colours: dict[int, np.ndarray] = {}
    x = y = number = 0
    tokens = re.findall(r"#\d+(?:;\d+)*|!\d+.|[$-]|[?-~]", data[raster.end() :])
    assert sum(map(len, tokens)) == len(data) - raster.end(), "nothing else stands there"
    for token in tokens:
        if token[0] == "#":
            number, *colour = map(int, token[1:].split(";"))
            if colour:
                assert colour[0] == 2
                colours[number] = np.rint(np.array(colour[1:]) * 2.55).astype(np.uint8)
        elif token == "$":
            x = 0
        elif token == "-":
            x, y = 0, y + 6
        else:
            count = int(token[1:-1]) if token[0] == "!" else 1
            bits = ord(token[-1]) - 63
            for bit in range(6):
                if bits >> bit & 1:
                    pixels[y + bit, x : x + count] = colours[number]
                    is_drawn[y + bit, x : x + count] = True
            x += count
            assert x <= width
    assert is_drawn[:height].all()
    assert not is_drawn[height:].any()
    return pixels[:height]


def _pixels(data: str) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)
