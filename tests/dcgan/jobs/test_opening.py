"""What is doubtful about the images of a run is said before its first step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dcgan.config.loading import load_config, parse_override
from dcgan.jobs.prepare import RunMetadata, prepare
from dcgan.jobs.run import run_job
from tests.dcgan.conftest import SMALL
from tracking.events import Event, Metrics


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
