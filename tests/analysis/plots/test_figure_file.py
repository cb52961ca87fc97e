"""Figures as files, with the numbers that they show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pypdf

from analysis.plots.arm_losses import loss_bands
from analysis.plots.figure_file import save
from tests.support.drawn_arms import (
    arms_with_steps,
)


def test_the_saved_numbers_are_those_drawn(tmp_path: Path) -> None:
    picture = loss_bands(*arms_with_steps([3, 7]))

    png, svg, pdf, csv = save(picture, tmp_path / "new")

    assert sorted((tmp_path / "new").iterdir()) == sorted([png, svg, pdf, csv])
    frame = pd.read_csv(csv)
    for axes, metric in zip(picture.figure.axes, ("Gloss", "Dloss"), strict=False):
        for drawn in axes.lines:
            name, _, arm = str(drawn.get_gid()).split("/")
            wanted = {"metric": metric, "line": name, "arm": arm}
            rows = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
            np.testing.assert_allclose(rows["value"], drawn.get_ydata())
            np.testing.assert_allclose(rows["epoch"], drawn.get_xdata())
    edges = frame.query("metric == 'Gloss' and line == 'maximum'")
    assert edges["arm"].unique().tolist() == ["arm 1"]
    with PIL.Image.open(png) as image:
        assert image.width == 1_400
        assert image.info["Description"] == picture.alt
    text = svg.read_text(encoding="utf-8")
    assert picture.alt in text
    assert ">Generator</text>" in text, "text can be searched and edited"
    page = pypdf.PdfReader(pdf).pages[0]
    assert "Generator" in page.extract_text()
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    assert fonts
    # Journals refuse Type 3.
    assert all(font["/Subtype"] != "/Type3" for font in fonts)
    assert "median" in picture.caption
    assert "median over" not in text + page.extract_text(), "the caption is beside the picture"


def test_the_same_runs_give_the_same_files(tmp_path: Path) -> None:
    first = save(loss_bands(*arms_with_steps([3])), tmp_path / "first")
    second = save(loss_bands(*arms_with_steps([3])), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    code = (
        "import sys, matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "from analysis.plots import arm_grids, values\n"
        "from analysis.plots.arm_losses import loss_bands\n"
        "loss_bands([], {})\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert not {'torch', 'mlflow', 'neptune', 'dcgan'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
