"""A report as a PDF on A4 paper."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from fpdf import FPDF, FontFace
from fpdf.enums import Align, MethodReturnValue, TableBordersLayout, WrapMode, XPos, YPos
from matplotlib.font_manager import FontProperties, findfont

from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile
from analysis.plots.fonts import fallback_fonts
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

MARGIN = 22
"""The margin on all sides, in millimetres."""

_SMALLEST = 0.6
"""How far a figure may be scaled down to fit on a page that would otherwise stay half empty."""

_SLACK = 0.1
"""Millimetres below a caption, without which rounding may send its last line to the next page."""

_CAPTION_SIZE, _CAPTION_AFTER = 8.5, 4

_TABLE_SIZES = (7.5, 7.0, 6.5, 6.0, 5.5, 5.0)
"""Font sizes of tables, in points; the first in which no number is broken in two."""

_CELL_PADDING, _COLUMN_LETTERS = 0.8, 24
"""Millimetres on either side of a cell, and letters of a cell after which it may be wrapped."""

_INK, _FAINT, _LINE = (29, 29, 31), (92, 92, 99), (210, 210, 213)
_SIZES = {"lead": 12.5, "plain": 10.0, "warning": 10.0, "note": 8.5}


def to_pdf(report: Report) -> bytes:
    """The whole file. It has no date, so that the same report gives the same bytes."""
    document = _Document()
    document.set_title(escape_control_characters(report.question))
    document.add_page()
    document.start_section(escape_control_characters(report.question))
    _text(document, report.question, size=20, style="B", after=4)
    _facts(document, report.setting)
    for section in report.sections:
        _section(document, section)
    return bytes(document.output())


class _Document(FPDF):
    """A4 pages in matplotlib's own fonts; characters that these lack come from installed ones."""

    def __init__(self) -> None:
        super().__init__(format="A4")
        for style, weight in (("", "normal"), ("B", "bold")):
            for family, font in (("text", "DejaVu Sans"), ("code", "DejaVu Sans Mono")):
                file = findfont(FontProperties(family=font, weight=weight))
                self.add_font(family, style, file)
        self._not_asked = fallback_fonts()
        self._asked = ["code"]
        self.set_fallback_fonts(self._asked, exact_match=False)
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(True, MARGIN)
        self.set_lang("en-GB")
        self.set_creation_date(datetime.fromtimestamp(0, UTC))

    def get_fallback_font(self, char: str, style: str = "") -> str | None:
        """A font that has a character; called by FPDF for those that the current one lacks.

        Such fonts are large, so each is loaded when no other has the character.
        """
        while (font := super().get_fallback_font(char, style)) is None and self._not_asked:
            family = self._not_asked.pop(0)
            file = findfont(FontProperties(family=family))
            self.add_font(family, "", file, collection_font_number=getattr(file, "face_index", 0))
            self._asked.append(family)
            self.set_fallback_fonts(self._asked, exact_match=False)
        return font

    def footer(self) -> None:
        """Write the page number; called by FPDF on every page."""
        self.set_y(-MARGIN + 6)
        self.set_font("text", size=8)
        self.set_text_color(_FAINT)
        self.cell(0, 5, str(self.page_no()), align=Align.C)


def _section(document: FPDF, section: Section) -> None:
    # A heading must not be alone at the bottom of a page.
    if document.will_page_break(20 + _height(document, section.blocks[0])):
        document.add_page()
    document.ln(4)
    document.start_section(escape_control_characters(section.title), level=1)
    _text(document, section.title, size=14, style="B", after=2)
    for block in section.blocks:
        _block(document, block)


def _block(document: FPDF, block: Block) -> None:
    match block:
        case Prose(text, tone):
            faint = tone == "note"
            mark = "Note: " if tone == "warning" else ""
            style = "B" if tone == "lead" else ""
            _text(document, mark + text, size=_SIZES[tone], style=style, faint=faint)
        case Facts():
            _facts(document, block)
        case Table():
            _table(document, block)
        case Figures(items):
            for figure in items:
                _picture(document, figure.picture, figure.caption)
        case Grids(still_caption=caption, still=still):
            _picture(document, still, caption)
        case MovingPicture():
            pass  # not shown on paper
        case Commands(lines):
            _text(document, "\n".join(lines), size=8.5, family="code")


def _text(
    document: FPDF,
    text: str,
    *,
    size: float,
    style: str = "",
    family: str = "text",
    faint: bool = False,
    after: float = 2,
) -> None:
    document.set_font(family, style, size)
    document.set_text_color(_FAINT if faint else _INK)
    document.multi_cell(
        0,
        size * 0.5,
        escape_control_characters(text),
        align=Align.L,
        new_x=XPos.LMARGIN,
        new_y=YPos.NEXT,
        wrapmode=WrapMode.CHAR if family == "code" else WrapMode.WORD,
    )
    document.ln(after)


def _facts(document: FPDF, facts: Facts) -> None:
    document.set_font("text", size=9)
    document.set_text_color(_INK)
    with document.table(
        borders_layout=TableBordersLayout.NONE,
        col_widths=(1, 1.7),
        first_row_as_headings=False,
        line_height=5,
        text_align=Align.L,
    ) as table:
        for name, value in facts.rows:
            row = table.row()
            row.cell(escape_control_characters(name), style=FontFace(color=_FAINT))
            row.cell(escape_control_characters(value))
    document.ln(2)


def _table(document: FPDF, block: Table) -> None:
    _text(document, block.caption, size=8.5, faint=True, after=1)
    widths = _widths(document, block)
    document.set_text_color(_INK)
    document.set_draw_color(_LINE)
    texts, columns = block.texts, len(block.columns)
    with document.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=widths,
        headings_style=FontFace(emphasis="BOLD", color=_FAINT),
        line_height=4.2,
        padding=(0.6, _CELL_PADDING),
        text_align=(*[Align.L] * texts, *[Align.R] * (columns - texts)),
    ) as table:
        table.row([escape_control_characters(column) for column in block.columns])
        for position, cells in enumerate(block.rows):
            style = FontFace(emphasis="BOLD") if position in block.strong else None
            table.row([escape_control_characters(cell) for cell in cells], style=style)
    document.ln(4)


def _widths(document: FPDF, block: Table) -> tuple[float, ...]:
    """Widths of the columns in millimetres; the font is made smaller if whole words need it.

    A number that is broken in two is misread, so no column is narrower than its words, except for
    long ones in columns of text.
    """
    for size in _TABLE_SIZES:
        document.set_font("text", "B", size)
        least = [_least_width(document, block, column) for column in range(len(block.columns))]
        if sum(least) <= document.epw:
            break
    wanted = [
        max(least[column], _text_width(document, max(cells, key=len)[:_COLUMN_LETTERS]))
        for column, cells in enumerate(zip(block.columns, *block.rows, strict=True))
    ]
    room = document.epw - sum(least)
    more = sum(wanted) - sum(least)
    share = min(1.0, max(0.0, room / more)) if more else 0.0
    document.set_font("text", "", size)
    return tuple(low + share * (high - low) for low, high in zip(least, wanted, strict=True))


def _least_width(document: FPDF, block: Table, column: int) -> float:
    longest = _COLUMN_LETTERS if column < block.texts else None
    words = [word[:longest] for cell in block.column(column) for word in cell.split()]
    words += block.columns[column].split()
    return max((_text_width(document, word) for word in words), default=0.0)


def _text_width(document: FPDF, text: str) -> float:
    """Millimetres of a text in a cell, with what is left free on either side."""
    return document.get_string_width(escape_control_characters(text)) + 2 * _CELL_PADDING + _SLACK


def _height(document: FPDF, block: Block) -> float:
    """The height, in millimetres, that must fit on a page before the block may break."""
    match block:
        case Figures(items):
            return _smallest_height(document, items[0].picture, items[0].caption)
        case Grids(still_caption=caption, still=still):
            return _smallest_height(document, still, caption)
        case _:
            return 10


def _size(document: FPDF, picture: FigureFile) -> tuple[float, float]:
    """Width and height in millimetres: as wide as the page, if it is not too high then."""
    width, height = picture.figure.get_size_inches()
    room = document.eph - 30
    shown = min(document.epw, room * width / height)
    return shown, shown * height / width


def _smallest_height(document: FPDF, picture: FigureFile, caption: str) -> float:
    return _SMALLEST * _size(document, picture)[1] + _caption_height(document, caption)


def _caption_height(document: FPDF, caption: str) -> float:
    document.set_font("text", "", _CAPTION_SIZE)
    text = escape_control_characters(caption)
    height = document.multi_cell(
        0, _CAPTION_SIZE * 0.5, text, align=Align.L, dry_run=True, output=MethodReturnValue.HEIGHT
    )
    assert isinstance(height, float)
    return 1 + height + _SLACK


def _picture(document: FPDF, picture: FigureFile, caption: str) -> None:
    """A figure with its caption, smaller if it then fits on what is left of the page."""
    shown, height = _size(document, picture)
    room = document.page_break_trigger - document.get_y() - _caption_height(document, caption)
    if _SMALLEST * height > room:
        document.add_page()
    elif height > room:
        shown *= room / height
    document.image(
        io.BytesIO(picture.png),
        x=Align.C,
        w=shown,
        alt_text=escape_control_characters(picture.alt),
    )
    document.ln(1)
    _text(document, caption, size=_CAPTION_SIZE, faint=True, after=_CAPTION_AFTER)
