"""A report as Markdown for GitHub, or CommonMark with tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile
from analysis.report.content import (
    Block,
    Commands,
    Facts,
    Figures,
    Grids,
    MovingPicture,
    Prose,
    Report,
    Section,
)
from tracking.fields import escape_control_characters
from tracking.markdown import escape_markdown


def to_markdown(report: Report, folder: str) -> str:
    """The whole file. folder: The folder with the figures as PNG, relative to the file."""
    parts = [f"# {escape_markdown(report.question)}", _facts(report.setting)]
    for section in report.sections:
        parts += _section(section, folder)
    return "\n\n".join(parts) + "\n"


def _section(section: Section, folder: str) -> list[str]:
    return [
        f"## {escape_markdown(section.title)}",
        *(part for block in section.blocks for part in _block(block, folder)),
    ]


def _block(block: Block, folder: str) -> list[str]:
    match block:
        case Prose(text, tone):
            plain = escape_markdown(text)
            marked = {"lead": f"**{plain}**", "note": f"*{plain}*", "warning": f"> {plain}"}
            return [marked.get(tone, plain)]
        case Table():
            return [escape_markdown(block.caption), _table(block)]
        case Figures(items):
            return [
                part
                for figure in items
                for part in _picture(figure.picture, figure.caption, folder)
            ]
        case Grids(still_caption=caption, still=still, animation=animation):
            moving = [] if animation is None else _moving(animation, folder)
            return [*_picture(still, caption, folder), *moving]
        case MovingPicture():
            return _moving(block, folder)
        case Facts() | Commands():
            return [_facts(block) if isinstance(block, Facts) else _code(block.lines)]


def _picture(picture: FigureFile, caption: str, folder: str) -> list[str]:
    image = f"![{escape_markdown(picture.alt)}](<{quote(f'{folder}/{picture.name}.png')}>)"
    return [image, f"*{escape_markdown(caption)}*"]


def _moving(block: MovingPicture, folder: str) -> list[str]:
    image = f"![{escape_markdown(block.alt)}](<{quote(f'{folder}/{block.name}.webp')}>)"
    return [image, f"*{escape_markdown(block.caption)}*"]


def _facts(facts: Facts) -> str:
    return "\n".join(
        f"- {escape_markdown(name)}: {escape_markdown(value)}" for name, value in facts.rows
    )


def _table(table: Table) -> str:
    rules = ["---" if column < table.texts else "---:" for column in range(len(table.columns))]
    lines = [_row(table.columns, strong=False), f"|{'|'.join(rules)}|"]
    lines += [_row(row, number in table.strong) for number, row in enumerate(table.rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str], strong: bool) -> str:
    shown = (
        f"**{escape_markdown(cell)}**" if strong and cell else escape_markdown(cell)
        for cell in cells
    )
    return f"| {' | '.join(shown)} |"


def _code(lines: Sequence[str]) -> str:
    text = "\n".join(map(escape_control_characters, lines))
    # The fence is longer than any within the text.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"
