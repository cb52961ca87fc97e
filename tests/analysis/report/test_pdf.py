"""How a report is laid out on the pages of a PDF."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from matplotlib.figure import Figure

from analysis import load
from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile
from analysis.report import compose, pdf
from analysis.report.content import Facts, Report, Section
from tests.support.sample_journals import write_journal


def test_no_page_of_a_pdf_but_the_last_is_near_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(tmp_path, "run", seed=0, evaluation={"lenet_fid": 9.0})
    report = compose(load(tmp_path), command="dcgan report")
    ends = []
    footer = pdf._Document.footer

    def with_record(document: pdf._Document) -> None:
        ends.append(document.get_y() / document.h)
        footer(document)

    monkeypatch.setattr(pdf._Document, "footer", with_record)
    pdf.to_pdf(report)
    assert len(ends) > 2
    assert min(ends[:-1]) > 0.6


def test_a_caption_stays_whole_below_its_figure_wherever_that_begins() -> None:
    picture = FigureFile(Figure(figsize=(5.2, 5.1)), "empty", "nothing", pd.DataFrame())
    caption = "words of a caption that takes several lines, " * 9
    document = pdf._Document()
    for tenths in range(220, 2_700, 17):
        document.add_page()
        document.set_y(tenths / 10)
        pdf._picture(document, picture, caption)
        after = document.get_y()
        assert after > pdf.MARGIN + pdf._caption_height(document, caption), "no line of it is alone"


def test_no_number_and_no_heading_of_a_table_is_broken_in_two() -> None:
    arm = "0.0001, default a very long name for a scheme that goes on"
    metrics = ("LeNet-FID", "LeNet-precision", "LeNet-recall", "final loss of G", "final D(G(z))")
    numbers = ("12.34", "0.8123", "0.00001234", "1,234,567.8", "\N{MINUS SIGN}0.001234")
    tables = (
        Table(
            "Failures",
            ("optimizer.lr, init.scheme", "runs", "collapsed", "unknown", "95% interval", "p"),
            ((arm, "6", "0", "0", "0% to 39%", "0.00016*"),),
            strong=frozenset({0}),
        ),
        Table(
            "Runs",
            ("run", "optimizer.lr, init.scheme", "outcome", "seed", *metrics),
            (("mnist-ablation-77pq2f", arm, "no failure", "123456789", *numbers),) * 2,
            texts=3,
        ),
    )
    report = Report("Tables", Facts((("Arms", "2"),)), (Section("Numbers", tables),))
    pages = pypdf.PdfReader(io.BytesIO(pdf.to_pdf(report))).pages
    words = set(" ".join(page.extract_text() for page in pages).split())
    expected = {word for table in tables for row in (table.columns, *table.rows) for word in row}
    assert {part for word in expected for part in word.split()} <= words
