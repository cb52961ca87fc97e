"""Names in any script are drawn, if a font for them is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from analysis.plots import fonts
from analysis.plots.fonts import ADVICE, fallback_fonts
from analysis.plots.style import house_style
from analysis.report import pdf
from dcgan.cli import app
from tests.support.sample_journals import write_journal

TRIPLE_BAR = "\u2980"
"""Matplotlib's DejaVu Sans lacks it, and its STIXGeneral has it."""


def test_the_preferred_of_the_installed_fonts_comes_first() -> None:
    installed = ["Meiryo", "DejaVu Sans", "Noto Sans CJK JP"]
    assert fallback_fonts(installed) == ["Noto Sans CJK JP", "Meiryo"]


def test_figures_ask_these_fonts() -> None:
    @house_style
    def families() -> list[str]:
        return list(mpl.rcParams["font.family"])

    assert families() == ["sans-serif", *fallback_fonts()]


def test_a_font_draws_what_matplotlibs_own_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(families: list[str]) -> None:
        with mpl.rc_context({"font.family": families}):
            figure = Figure()
            figure.suptitle(TRIPLE_BAR)
            figure.savefig(tmp_path / "figure.png")

    with pytest.warns(UserWarning, match="missing from font"):
        draw(["sans-serif"])
    monkeypatch.setattr(fonts, "WIDE_FONTS", ("STIXGeneral",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(["sans-serif", *fallback_fonts()])


def test_a_pdf_embeds_another_font_only_for_characters_that_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf, "fallback_fonts", lambda: ["STIXGeneral"])
    embedded = []
    for text in ("plain", f"{TRIPLE_BAR} plain"):
        document = pdf._Document()
        document.add_page()
        document.set_font("text", size=10)
        document.cell(text=text)
        embedded.append(b"STIXGeneral" in bytes(document.output()))
    assert embedded == [False, True]


def test_characters_of_no_font_are_told_of_once(tmp_path: Path) -> None:
    write_journal(tmp_path, "run-000000", seed=0, fields={"sys/name": "\U00012000\U00012001"})
    result = CliRunner().invoke(
        app,
        ["plot", "run-000000", "--store", str(tmp_path), "-o", str(tmp_path / "plots")],
        env={"COLUMNS": "300"},
    )
    assert result.exit_code == 0
    assert result.output.count(ADVICE) == 1
    assert "Glyph" not in result.output
