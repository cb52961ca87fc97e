"""The figures of one run, drawn from real journals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots import style
from analysis.plots.run import (
    grid_progression,
    loss_curves,
    real_and_fake,
    save_run_plots,
    score_curves,
)
from tracking.backends.local import Journal, read_steps
from tracking.events import BATCH, EPOCH, FIXED_NOISE, REAL, Fields, Image, Metrics
from tracking.tracker import Run

METRICS = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")
NOW = 1_760_000_000_000


def grid(level: int, channels: int = 1) -> npt.NDArray[np.uint8]:
    return np.full((66, 66, channels), level, np.uint8)


def coloured(colour: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    return np.full((66, 66, 3), colour, np.uint8)


def losses(length: int) -> npt.NDArray[np.float64]:
    """(length, 5): one column a metric, each in (0, 1)."""
    return np.random.default_rng(1).uniform(0.2, 0.8, size=(length, len(METRICS)))


def write_run(
    folder: Path,
    values: npt.NDArray[np.float64],
    steps_per_epoch: int = 100,
    images: dict[int, npt.NDArray[np.uint8]] | None = None,
    real: npt.NDArray[np.uint8] | None = None,
    name: str = "first",
) -> Path:
    """A finished run with these batch values; a last epoch that is not full has no means."""
    journal = Journal(folder, Run(folder.name, name, NOW))
    journal.write(Fields({"sys/status": "running", "sys/recipe": "digits"}))
    for start in range(0, len(values), steps_per_epoch):
        block = values[start : start + steps_per_epoch]
        steps = list(range(start + 1, start + len(block) + 1))
        columns = {f"{BATCH}/{name}": block[:, i].tolist() for i, name in enumerate(METRICS)}
        journal.write(Metrics(steps, [NOW + step for step in steps], columns))
        if len(block) == steps_per_epoch:
            means = {f"{EPOCH}/{name}": [block[:, i].mean()] for i, name in enumerate(METRICS)}
            number = {f"{EPOCH}/number": [float(steps[-1] // steps_per_epoch)]}
            journal.write(Metrics(steps[-1:], [NOW + steps[-1]], number | means))
    for step, pixels in (images or {}).items():
        journal.write(Image(FIXED_NOISE, step, NOW, pixels))
    if real is not None:
        journal.write(Image(REAL, 0, NOW, real))
    journal.close("finished")
    return folder


@pytest.fixture
def steps(tmp_path: Path) -> pd.DataFrame:
    return read_steps(write_run(tmp_path / "run", losses(250)))


def line(axes: Axes, name: str) -> Line2D:
    (found,) = [line for line in axes.lines if line.get_gid() == name]
    return found


def data(axes: Axes, name: str) -> tuple[list[float], list[float]]:
    x, y = line(axes, name).get_data()
    return np.asarray(x).tolist(), np.asarray(y).tolist()


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def texts(figure: Figure) -> str:
    title, note = figure.get_suptitle(), figure.get_supxlabel()
    return f"{title}\n{note}".replace("\n", " ")


def test_losses_stand_apart_and_together(steps: pd.DataFrame) -> None:
    figure = loss_curves(steps, "first")

    generator, discriminator, both = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Generator",
        "Discriminator",
        "Both",
    ]
    for axes, metrics in (
        (generator, ["Gloss"]),
        (discriminator, ["Dloss"]),
        (both, ["Gloss", "Dloss"]),
    ):
        expected = {f"{kind}/{metric}" for kind in ("batch", "epoch") for metric in metrics}
        assert {line.get_gid() for line in axes.lines} == expected
    for metric, axes in (("Gloss", generator), ("Dloss", both)):
        x, y = data(axes, f"batch/{metric}")
        assert x == list(range(1, 251))
        assert y == steps[f"{BATCH}/{metric}"].tolist()
        x, y = data(axes, f"epoch/{metric}")
        assert x == [100, 200]
        assert y == steps[f"{EPOCH}/{metric}"].dropna().tolist()
    assert labels(both) == ["G", "D"]


def test_g_and_d_keep_their_colours(steps: pd.DataFrame) -> None:
    for axes in loss_curves(steps).axes:
        for drawn in axes.lines:
            is_generator = str(drawn.get_gid()).endswith("Gloss")
            expected = style.GENERATOR if is_generator else style.DISCRIMINATOR
            assert to_hex(drawn.get_color()) == expected


def test_epochs_stand_below_the_steps(steps: pd.DataFrame, tmp_path: Path) -> None:
    figure = loss_curves(steps)
    figure.savefig(tmp_path / "figure.png")

    (epochs,) = figure.axes[-1].child_axes
    assert epochs.get_xlabel() == "epoch"
    assert epochs.get_xlim() == pytest.approx((-0.025, 2.525))  # 250 steps of 100, with margins


def test_a_run_in_its_first_epoch_has_steps_alone(tmp_path: Path) -> None:
    steps = read_steps(write_run(tmp_path / "run", losses(60)))

    figure = loss_curves(steps)

    assert figure.axes[-1].child_axes == []
    assert labels(figure.axes[-1]) == ["G", "D"]
    assert "single batches" in texts(figure)


def test_scores_have_the_line_of_a_blind_discriminator(steps: pd.DataFrame) -> None:
    figure = score_curves(steps)

    apart, at_step = figure.axes
    assert data(apart, "batch/D_x")[1] == steps[f"{BATCH}/D_x"].tolist()
    assert data(apart, "batch/D_G_z1")[1] == steps[f"{BATCH}/D_G_z1"].tolist()
    assert data(at_step, "batch/D_G_z2")[1] == steps[f"{BATCH}/D_G_z2"].tolist()
    assert labels(apart) == ["D(x)", "D(G(z))"]
    assert labels(at_step) == ["before", "after"]
    for axes in figure.axes:
        assert any(list(drawn.get_ydata()) == [0.5, 0.5] for drawn in axes.lines)
        bottom, top = axes.get_ylim()
        assert bottom < 0
        assert top > 1


def test_the_scores_of_a_critic_have_no_line_at_a_half_and_are_all_seen(tmp_path: Path) -> None:
    values = losses(100)
    values[:, 2] = 7.5  # D(x)
    figure = score_curves(read_steps(write_run(tmp_path / "run", values)))
    for axes in figure.axes:
        assert not any(list(drawn.get_ydata()) == [0.5, 0.5] for drawn in axes.lines)
        assert axes.get_ylim()[1] > 7.5
    assert "no probabilities" in " ".join(text.get_text() for text in figure.texts)


def test_a_long_run_is_thinned_and_keeps_its_spike(tmp_path: Path) -> None:
    values = losses(100_000)
    values[60_000] = 14.0
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_583))
    for axes in loss_curves(steps).axes:
        for drawn in axes.lines:
            x, y = drawn.get_data()
            assert len(x) < 5_000
            if str(drawn.get_gid()).startswith("batch"):
                assert np.asarray(y)[np.asarray(x) == 60_001] == 14.0


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_diverged_run_says_since_when(tmp_path: Path, broken: float) -> None:
    values = losses(250)
    values[199:, 0] = broken
    steps = read_steps(write_run(tmp_path / "run", values))

    generator, discriminator, both = loss_curves(steps).axes

    for axes in (generator, both):
        assert labels(axes)[-1] == "not finite: 51 steps, from 200"
        (hatched,) = axes.patches
        assert hatched.get_hatch()
        assert hatched.get_x() == 199.5
        assert hatched.get_x() + hatched.get_width() == 250.5
        assert np.isnan(data(axes, "batch/Gloss")[1][199:]).all()
    assert len(discriminator.patches) == 0
    assert labels(discriminator) == ["D"]


def test_a_single_nan_in_a_long_run_is_marked(tmp_path: Path) -> None:
    values = losses(20_000)
    values[12_345] = np.nan
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_000))

    for figure in (loss_curves(steps), score_curves(steps)):
        for axes in figure.axes:
            assert labels(axes)[-1] == "not finite: 1 step, from 12,346"
            (hatched,) = axes.patches
            assert hatched.get_linewidth() > 0  # a step is narrower than a pixel


def test_thousands_of_nans_are_few_patches(tmp_path: Path) -> None:
    values = losses(20_000)
    values[::2, 0] = np.nan
    steps = read_steps(write_run(tmp_path / "run", values, steps_per_epoch=1_000))

    generator = loss_curves(steps).axes[0]

    assert len(generator.patches) == 1
    assert labels(generator)[-1] == "not finite: 10,000 steps, from 1"


@pytest.mark.parametrize("draw", [loss_curves, score_curves])
def test_runs_without_values_say_so(draw, tmp_path: Path) -> None:
    nothing = read_steps(write_run(tmp_path / "empty", losses(0)))
    never_finite = read_steps(write_run(tmp_path / "dead", losses(150) * np.nan))

    for steps in (nothing, never_finite):
        figure = draw(steps)
        figure.savefig(tmp_path / "figure.png")
        for axes in figure.axes:
            assert [text.get_text() for text in axes.texts] == ["no finite value"]
    assert labels(draw(never_finite).axes[0])[-1] == "not finite: 150 steps, from 1"


def test_a_single_step_is_a_visible_point(tmp_path: Path) -> None:
    steps = read_steps(write_run(tmp_path / "run", losses(1)))

    for figure in (loss_curves(steps), score_curves(steps)):
        figure.savefig(tmp_path / "figure.png")
        for axes in figure.axes:
            points = [drawn for drawn in axes.lines if drawn.get_gid()]
            assert points
            assert all(drawn.get_marker() == "o" for drawn in points)
            assert all(len(drawn.get_xdata()) == 1 for drawn in points)


def test_a_name_is_no_formula(steps: pd.DataFrame, tmp_path: Path) -> None:
    title = "a $\\bad{ name$ " * 20

    figure = loss_curves(steps, title)

    figure.savefig(tmp_path / "figure.png")
    assert max(map(len, figure.get_suptitle().splitlines())) <= 80


def test_every_figure_says_that_it_is_one_run(steps: pd.DataFrame) -> None:
    pixels = grid(0)
    for figure in (
        loss_curves(steps),
        score_curves(steps),
        grid_progression({0: pixels}),
        real_and_fake(pixels, pixels),
    ):
        assert "One run with one seed is an anecdote." in texts(figure)


def test_all_figures_of_a_run_are_saved(tmp_path: Path) -> None:
    first, last, real = (0, 0, 200), (0, 200, 0), (200, 0, 0)
    images = {0: coloured(first), 100: coloured(first), 250: coloured(last)}
    folder = write_run(tmp_path / "run", losses(250), images=images, real=coloured(real))
    reports: list[str] = []

    saved = save_run_plots(folder, tmp_path / "new" / "plots", reports.append)

    assert [path.name for path in saved] == [
        "loss.png",
        "scores.png",
        "progression.png",
        "real_and_fake.png",
    ]
    assert sorted((tmp_path / "new/plots").iterdir()) == sorted(saved)  # no leftovers
    for path in saved:
        with PIL.Image.open(path) as picture:
            picture.load()
            assert picture.width == 1_400
    with PIL.Image.open(saved[-1]) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or []}
    assert {real, last} <= colours
    assert first not in colours
    assert reports == []


def test_a_run_without_data_is_told_what_it_lacks(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", losses(0), images={0: grid(3)})
    reports: list[str] = []

    saved = save_run_plots(folder, tmp_path / "plots", reports.append)

    assert [path.name for path in saved] == ["progression.png"]
    assert reports == [
        "loss.png is left out: the run has no finished step.",
        "scores.png is left out: the run has no finished step.",
        "real_and_fake.png is left out: the run has no picture in images/real.",
    ]


def test_an_empty_run_makes_no_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", losses(0))

    assert save_run_plots(folder, tmp_path / "plots", lambda _: None) == []
    assert not (tmp_path / "plots").exists()


def test_titles_carry_name_recipe_and_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", losses(3), name="with weights")
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
