"""The best checkpoint of a run, whatever happens between its evaluation and its mark."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dcgan.config.loading import load_config, parse_override
from dcgan.evaluation import callback
from dcgan.jobs import checkpoint_saver
from dcgan.jobs.prepare import Job, RunMetadata, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.training.checkpoint import (
    best_checkpoint,
    checkpoint_step,
    list_checkpoints,
    mark_best,
    save_checkpoint,
)
from tests.dcgan.conftest import SMALL
from tracking.backends.local import amend_fields, read_fields
from tracking.evaluation_paths import BEST_STEP

SETTINGS = (
    *SMALL,
    "training.batch_size=600",  # three steps an epoch
    "training.epochs=4",
    "checkpoints.every_epochs=1",
    "evaluation.every_epochs=1",
)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The distances that the next evaluations find."""
    found: list[float] = []

    def evaluate(*_: object, **__: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="fid", value=found.pop(0), better="lower")]

    monkeypatch.setattr(callback, "evaluate", evaluate)
    for name, result in (("feature_spaces", ()), ("make_reference", None)):
        monkeypatch.setattr(callback, name, lambda *_, result=result, **__: result)
    monkeypatch.setattr(callback, "evaluation_fields", lambda *_, **__: {})
    return found


def run(job: Job, steps: int) -> Path:
    """Run a job until `steps` more steps are done."""
    calls = iter([False] * (steps - 1))
    stopping = lambda: next(calls, True)  # noqa: E731
    ignore = lambda _: None  # noqa: E731
    return run_job(job, ["dcgan"], listen=ignore, warn=ignore, stopping=stopping).folder


def started(store: Path, steps: int) -> Path:
    config = load_config("digits", [parse_override(text) for text in SETTINGS])
    return run(prepare(config, "cpu", store, (), RunMetadata()), steps)


def bests(folder: Path) -> tuple[object, int | None]:
    """The step of the best checkpoint by the run's fields, and by its mark."""
    marked = best_checkpoint(folder / "checkpoints")
    return read_fields(folder).get(BEST_STEP), None if marked is None else checkpoint_step(marked)


def test_a_best_step_that_is_trained_again_may_be_no_longer_the_best(
    tmp_path: Path, scores: list[float]
) -> None:
    scores += [5, 3]
    folder = started(tmp_path, 6)
    assert bests(folder) == (6, 6)
    list_checkpoints(folder / "checkpoints")[-1].unlink()  # damaged, say
    scores += [9]
    run(prepare_resume(tmp_path, "last", "cpu"), 3)
    assert bests(folder) == (3, 3)


@pytest.mark.parametrize(("second", "recorded", "best"), [(3, 3, 6), (9, 6, 3)])
def test_a_kill_before_the_mark_does_not_mark_another_checkpoint(
    tmp_path: Path, scores: list[float], second: float, recorded: int, best: int
) -> None:
    scores += [5, second]
    folder = started(tmp_path, 6)
    amend_fields(folder, {BEST_STEP: recorded})
    mark_best(list_checkpoints(folder / "checkpoints")[0])
    scores += [7]
    run(prepare_resume(tmp_path, "last", "cpu"), 3)
    assert bests(folder) == (best, best)


def test_a_best_checkpoint_that_cannot_be_written_is_not_the_best(
    tmp_path: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(folder: Path, step: int, *arguments: object, **more: object) -> Path:
        if step == 6:
            raise OSError(28, "No space left on device")
        return save_checkpoint(folder, step, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_saver, "save_checkpoint", save)
    scores += [5, 3, 4, 6]
    folder = started(tmp_path, 12)
    assert read_fields(folder)["sys/status"] == "finished"
    assert bests(folder) == (3, 3)


def test_a_checkpoint_is_written_once_and_former_bests_are_deleted(
    tmp_path: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def save(folder: Path, step: int, *arguments: object, **more: object) -> Path:
        written.append(step)
        return save_checkpoint(folder, step, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint_saver, "save_checkpoint", save)
    scores += [5, 6, 7, 4]
    folder = started(tmp_path, 12)
    assert written == [3, 6, 9, 12]
    assert list(map(checkpoint_step, list_checkpoints(folder / "checkpoints"))) == [9, 12]
    assert bests(folder) == (12, 12)
