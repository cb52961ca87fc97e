"""Runs of a sweep that a rule of health ends, or that a kill ends before they begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis import load
from analysis.comparison.compare import training_outcomes
from dcgan.config.loading import parse_override
from dcgan.jobs.opening import opening_events
from dcgan.jobs.prepare import RunMetadata, SweepMembership, prepare
from dcgan.sweeping.plan import plan_sweep
from dcgan.sweeping.progress import missing_runs
from dcgan.sweeping.storage import save_sweep
from dcgan.sweeping.worker import make_work_items, run_work_item
from diagnosis import follow
from tests.dcgan.conftest import SMALL
from tracking.backends.local import open_tracker, read_fields, run_folders
from tracking.clock import now_ms
from tracking.lock import locked
from tracking.store import TRASH, create_run


def test_they_are_not_trained_again_and_count_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "EVERY_STEPS", 2)
    monkeypatch.setattr("dcgan.training.metric_buffer.BLOCK_STEPS", 2)
    np.savez(tmp_path / "flat.npz", images=np.full((64, 32, 32), 117, np.uint8))
    settings = (*SMALL, "dataset.name=folder", f"dataset.path={tmp_path / 'flat.npz'}")
    plan = plan_sweep("flat", "digits", [parse_override(each) for each in settings], [], [3])
    stored = save_sweep(tmp_path / "runs", plan, ())
    items = make_work_items(
        stored,
        missing_runs(stored),
        devices=("cpu",),
        executor="ray",
        threads=1,
        arguments=(),
        stop_when=("data_at_fault",),
    )
    results = [run_work_item(item) for item in items]
    assert [result.failure for result in results] == [None]
    (folder,) = run_folders(tmp_path / "runs")
    assert read_fields(folder)["sys/status"] == "stopped"
    assert missing_runs(stored) == {}
    assert training_outcomes(load(tmp_path / "runs"), [folder.name]) == ["failed"]


def test_one_that_was_killed_before_its_recipe_was_written_is_trained_anew(tmp_path: Path) -> None:
    plan = plan_sweep("twice", "digits", [parse_override(each) for each in SMALL], [], [3, 4])
    stored = save_sweep(tmp_path, plan, ())
    first, second = plan.runs
    membership = SweepMembership("twice", stored.id, first.arm.label, 2)
    job = prepare(first.config, "cpu", tmp_path, (), RunMetadata(sweep=membership))
    for begun in (False, True):  # without any file of its own, it is not seen at all
        run, folder = create_run(tmp_path, "digits", None, now_ms())
        if begun:
            with locked(folder, training=True):
                open_tracker(run, tmp_path).write(next(opening_events(job, folder, [])))
            assert read_fields(folder)["sys/status"] == "killed"
        assert missing_runs(stored) == {first: None, second: None}
    assert (tmp_path / TRASH / folder.name).exists()
    assert run_folders(tmp_path) == []
