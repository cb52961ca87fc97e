"""How a training ended, for every loss and stabiliser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import load
from analysis.comparison.compare import training_outcomes
from analysis.comparison.failures import TrainingOutcome, last_grids, training_outcome
from dcgan.data.scaling import to_uint8, to_unit_range
from dcgan.sampling import image_grid
from diagnosis.image_grids import GridReading, split_grid, variation
from tests.support.sample_journals import write_journal
from tracking.backends.local import open_tracker
from tracking.events import FIXED_NOISE, REAL, Image
from tracking.tracker import Run


def grid(step: int, variation: float, nearest: float = 0.9) -> GridReading:
    return GridReading(step, variation, nearest, float("nan"), float("nan"), 1.0)


VARIED = (grid(5_000, 0.9),)
ALIKE = (grid(100, 0.9), grid(5_000, 0.05))


def outcome(
    loss: str,
    scores: tuple[float, float] | None,
    grids: Sequence[GridReading],
    smoothing: float = 0,
    status: str = "finished",
) -> TrainingOutcome:
    fields = {
        "config/loss/name": loss,
        "config/stabilisers/label_smoothing": smoothing,
        "sys/status": status,
    }
    names = ("training/batch/D_x", "training/batch/D_G_z1")
    return training_outcome(fields, dict(zip(names, scores or (), strict=False)), grids)


@pytest.mark.parametrize(
    ("loss", "smoothing", "won", "undecided"),
    [
        ("bce", 0.0, (0.995, 0.004), (0.8, 0.2)),
        ("bce", 0.1, (0.899, 0.001), (0.8, 0.001)),
        ("softmax", 0.0, (0.999, 0.001), (0.999, 0.1)),
        ("least_squares", 0.0, (0.995, 0.005), (0.9, 0.1)),
        ("hinge", 0.0, (1.3, -2.0), (1.3, 0.4)),
    ],
)
def test_a_discriminator_that_tells_all_apart_has_won_by_any_loss(
    loss: str, smoothing: float, won: tuple[float, float], undecided: tuple[float, float]
) -> None:
    assert outcome(loss, won, VARIED, smoothing) == "collapsed"
    assert outcome(loss, undecided, VARIED, smoothing) == "whole"


def test_a_critic_has_no_output_at_which_it_has_won() -> None:
    assert outcome("wgan_gp", (500.0, -500.0), VARIED) == "whole"
    assert outcome("wgan_gp", (500.0, -500.0), ALIKE) == "collapsed"
    assert outcome("wgan_gp", (500.0, -500.0), ()) == "unknown"


def test_what_is_not_recorded_is_unknown_rather_than_diverged() -> None:
    assert outcome("bce", None, ()) == "unknown"
    assert outcome("bce", None, VARIED) == "whole"
    assert outcome("bce", (float("nan"), 0.5), VARIED) == "diverged"


def test_an_untrained_generator_has_not_collapsed() -> None:
    first, second = grid(0, 0.02), grid(114, 0.1)
    assert outcome("bce", (0.6, 0.4), (first, second)) == "unknown"
    assert outcome("bce", (0.6, 0.4), (first, second, grid(2_000, 0.1))) == "collapsed"
    assert outcome("bce", (0.6, 0.4), (first, grid(50, 0.5), second)) == "collapsed"


def test_twins_in_a_grid_that_varies_are_a_collapse() -> None:
    assert outcome("bce", (0.6, 0.4), (grid(5_000, 0.9, nearest=0.1),)) == "collapsed"


def test_a_run_that_was_stopped_has_failed_in_some_way() -> None:
    assert outcome("bce", (0.6, 0.4), VARIED, status="stopped") == "failed"
    assert outcome("bce", (0.995, 0.004), VARIED, status="stopped") == "collapsed"


def test_runs_are_judged_by_what_their_journals_hold(tmp_path: Path) -> None:
    write_journal(tmp_path, "whole-0", seed=0)
    write_journal(tmp_path, "no-dloss-0", seed=0, metrics_left_out=("Dloss",))
    write_journal(tmp_path, "alike-0", seed=0, images_alike=True)
    write_journal(tmp_path, "failed-0", seed=0, status="failed")
    runs = load(tmp_path)
    ids = [str(run) for run in runs.table.index]
    assert dict(zip(ids, training_outcomes(runs, ids), strict=True)) == {
        "whole-0": "whole",
        "no-dloss-0": "whole",
        "alike-0": "collapsed",
        "failed-0": "failed",
    }


def test_a_series_that_a_journal_has_lost_is_not_taken_for_nan(tmp_path: Path) -> None:
    """The last values of a run are in a file of their own, which still has this one."""
    folder = write_journal(tmp_path, "run-0", seed=0)
    journal = folder / "metrics.jsonl"
    journal.write_text(journal.read_text().replace("training/batch/Dloss", "training/batch/other"))
    runs = load(tmp_path)
    assert "training/batch/Dloss" in runs.last_values_of("run-0")
    assert training_outcomes(runs, ["run-0"]) == ["whole"]
    assert runs.tail_means("run-0", ["training/batch/Dloss"]) == {}


def test_grids_vary_by_how_their_images_differ(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, "alike-0", seed=0, images_alike=True)
    first, last = last_grids(folder, (8, 8), 9)
    assert (first.step, last.step) == (0, 40)
    assert last.variation == 0
    assert first.variation == pytest.approx(1, abs=0.2)
    assert last_grids(tmp_path / "nowhere", (8, 8), 9) == []


def test_black_cells_of_a_grid_of_few_real_images_are_no_images(tmp_path: Path) -> None:
    journal = open_tracker(Run("few", "few", 1), tmp_path)
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    journal.write(Image(REAL, 0, 1, image_grid(images[:3])))  # in two rows of two
    journal.write(Image(FIXED_NOISE, 0, 1, image_grid(images)))
    journal.close("finished")
    as_bytes = to_uint8(images).permute(0, 2, 3, 1).numpy()
    [reading] = last_grids(tmp_path / "few", (8, 8), 16, 3)
    assert reading.variation == pytest.approx(variation(as_bytes) / variation(as_bytes[:3]))


@pytest.mark.parametrize("side", [8, 4])
def test_a_single_image_or_one_of_another_size_tells_nothing_of_variation(
    tmp_path: Path, side: int
) -> None:
    """A single image has no lines around it: the engine writes it at `images.count = 1`."""
    journal = open_tracker(Run("one", "one", 1), tmp_path)
    for path in (REAL, FIXED_NOISE):
        pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        journal.write(Image(path, 0, 1, pixels))
    journal.close("finished")
    assert last_grids(tmp_path / "one", (8, 8), 1) == []


def test_the_grid_of_any_number_of_images_is_cut_apart_again() -> None:
    for count in (1, 2, 5, 9):
        images = torch.randint(
            0, 256, (count, 3, 8, 12), generator=torch.Generator().manual_seed(0)
        )
        cells = split_grid(image_grid(to_unit_range(images.to(torch.uint8))), (8, 12), count)
        assert np.array_equal(cells, images.permute(0, 2, 3, 1).numpy())
