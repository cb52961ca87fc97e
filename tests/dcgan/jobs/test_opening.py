"""What is said and written before the first step of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dcgan.config.loading import load_config, parse_override
from dcgan.jobs.opening import opening_events
from dcgan.jobs.prepare import RunMetadata, SweepMembership, prepare, prepare_resume
from dcgan.jobs.run import run_job
from tests.dcgan.conftest import SMALL
from tracking.backends.local import open_tracker, read_fields
from tracking.errors import StoreError
from tracking.events import Event, Metrics
from tracking.lock import locked
from tracking.store import create_run


def test_a_set_of_copies_that_hardly_vary_is_told_of_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "black"
    folder.mkdir()
    for number in range(16):
        PIL.Image.fromarray(np.zeros((32, 32), np.uint8)).save(folder / f"{number}.png")
    settings = (*SMALL, "dataset.name=folder", f"dataset.path={folder}")
    config = load_config("digits", [parse_override(text) for text in settings])
    job = prepare(config, "cpu", tmp_path / "runs", (), RunMetadata())
    seen: list[str | Event] = []
    run_job(job, [], listen=seen.append, warn=seen.append, stopping=lambda: True)
    before = seen[: next(i for i, each in enumerate(seen) if isinstance(each, Metrics))]
    said = " ".join(each for each in before if isinstance(each, str))
    assert "15 images of 16 have the same pixels as an earlier one." in said
    assert "hardly vary" in said


def test_a_run_that_is_killed_after_its_first_event_can_be_told_from_others(tmp_path: Path) -> None:
    membership = SweepMembership("rates", "rates-aaaaaa", "optimizer.lr=0.1", 2)
    config = load_config("digits", [parse_override(text) for text in SMALL])
    job = prepare(config, "cpu", tmp_path, (), RunMetadata(sweep=membership))
    run, folder = create_run(tmp_path, "digits", None, 1)
    with locked(folder, training=True):
        open_tracker(run, tmp_path).write(next(opening_events(job, folder, [])))
        with pytest.raises(StoreError, match="has only just begun: try again when it trains"):
            prepare_resume(tmp_path, "last", "cpu")
    fields = read_fields(folder)
    assert fields["sys/status"] == "killed"
    assert fields["sys/device"] == "cpu"
    assert fields["sys/sweep/id"] == "rates-aaaaaa"
    left = f"ended before its recipe was written.*\n.*dcgan delete {folder.name} --store"
    with pytest.raises(StoreError, match=left):
        prepare_resume(tmp_path, "last", "cpu")
