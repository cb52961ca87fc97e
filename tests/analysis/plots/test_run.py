"""The figures of one run together, and their files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest
from matplotlib.figure import Figure

from analysis.caveats import NO_QUALITY
from analysis.plots.run import (
    save_run_plots,
)
from tests.support.drawn_run import (
    coloured_grid,
    grey_grid,
    random_values,
    write_run,
)
from tracking.backends.local import read_steps
from tracking.wording import ANECDOTE


@pytest.fixture
def steps(tmp_path: Path) -> pd.DataFrame:
    return read_steps(write_run(tmp_path / "run", random_values(250)))


def test_all_figures_of_a_run_are_saved(tmp_path: Path) -> None:
    first, last, real = (0, 0, 200), (0, 200, 0), (200, 0, 0)
    images = {0: coloured_grid(first), 100: coloured_grid(first), 250: coloured_grid(last)}
    folder = write_run(
        tmp_path / "run", random_values(250), images=images, real=coloured_grid(real)
    )
    reports: list[str] = []

    saved = save_run_plots(folder, tmp_path / "new" / "plots", reports.append)

    assert [path.name for path in saved] == [
        "loss.png",
        "scores.png",
        "progression.png",
        "real_and_fake.png",
        "captions.txt",
    ]
    assert sorted((tmp_path / "new/plots").iterdir()) == sorted(saved)  # no leftovers
    captions = saved.pop().read_text(encoding="utf-8")
    assert captions.startswith(f"{ANECDOTE} {NO_QUALITY}\n\nloss: ")
    assert captions.count(ANECDOTE) == 1
    assert "real_and_fake: No image was picked by hand." in captions
    for path in saved:
        with PIL.Image.open(path) as picture:
            picture.load()
            assert picture.width == 1_400
    with PIL.Image.open(saved[-1]) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {real, last} <= colours
    assert first not in colours
    assert reports == []


def test_a_run_without_data_says_what_it_lacks(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", random_values(0), images={0: grey_grid(3)})
    reports: list[str] = []

    saved = save_run_plots(folder, tmp_path / "plots", reports.append)

    assert [path.name for path in saved] == ["progression.png", "captions.txt"]
    assert reports == [
        "loss.png is left out: the run has no finished step.",
        "scores.png is left out: the run has no finished step.",
        "real_and_fake.png is left out: the run has no picture in images/real.",
    ]


def test_an_empty_run_makes_no_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", random_values(0))

    assert save_run_plots(folder, tmp_path / "plots", lambda _: None) == []
    assert not (tmp_path / "plots").exists()


def test_titles_carry_name_recipe_and_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", random_values(3), name="with weights")
    titles: list[str] = []
    save = Figure.savefig

    def note(figure: Figure, *arguments: object, **options: object) -> None:
        titles.append(figure.get_suptitle())
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", note)

    save_run_plots(folder, tmp_path / "plots", lambda _: None)

    assert titles == ["with weights · recipe digits · finished"] * 2


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    code = (
        "import sys, matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "from analysis.plots.run import loss_curves\n"
        "import pandas\n"
        "loss_curves(pandas.DataFrame({'step': [1], 'training/batch/Gloss': [1.0]}))\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.get_fignums() == []\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert not {'torch', 'mlflow', 'neptune', 'dcgan'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
