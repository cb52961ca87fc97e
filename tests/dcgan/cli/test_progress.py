"""The bars while images are worked on."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from dcgan.cli import progress
from dcgan.cli.progress import ImageProgress, TrainingConsole, TrainingProgress
from dcgan.jobs.prepare import Job
from dcgan.jobs.progress import TrainingMeter
from tracking.events import Fields, Metrics


def test_the_score_of_an_evaluation_is_printed_beside_that_of_real_images() -> None:
    drawn = io.StringIO()
    card = SimpleNamespace(card=SimpleNamespace(size=40))
    job = cast(
        Job,
        SimpleNamespace(
            images=card,
            steps_per_epoch=2,
            total_steps=4,
            first_step=0,
            config=SimpleNamespace(name=""),
        ),
    )
    shown = TrainingProgress(job, Console(file=drawn, width=80))
    shown.show(Fields({"sys/evaluation/floor/lenet_fid": 9.4}))
    for step, value in ((2, 60.5), (4, 70.25)):
        values = {"lenet_fid": [value], "best_lenet_fid": [60.5], "lenet_kid": [1.0]}
        shown.show(Metrics([step], [step], {f"evaluation/{k}": v for k, v in values.items()}))
    assert drawn.getvalue().splitlines() == [
        "step 2: lenet_fid 60.5, the best so far; real images 9.4",
        "step 4: lenet_fid 70.25, the best is 60.5; real images 9.4",
    ]


def test_slow_steps_have_a_speed_and_a_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    card = SimpleNamespace(card=SimpleNamespace(size=4_000))
    job = SimpleNamespace(images=card, steps_per_epoch=100, epochs=2, total_steps=200, first_step=0)
    meter = TrainingMeter(cast(Job, job))
    names = ("Gloss", "Dloss", "D_x", "D_G_z1", "D_G_z2")
    for step in (50, 100):  # as blocks of several processes end, here of half a second per step
        clock += 25
        meter.follow(Metrics([step], [step], {f"training/batch/{each}": [1.0] for each in names}))
        assert " 80 images/s " in meter.line
    assert meter.line.endswith(" 50 s left")


def test_each_kind_of_work_has_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "STDERR", terminal)
    with ImageProgress() as bars:
        assert drawn.getvalue() == "", "hidden until there is work"
        bars.decoded(10, 40)
        bars.show("fakes", 50, 100)
        bars.clear()
        for text in ("decoding", "10/40", "fakes", "50/100", "left"):
            assert text in drawn.getvalue()
        drawn.truncate(0)
        bars.show("fakes", 100, 100)
    assert "100/100" in drawn.getvalue(), "after something was printed there is a new one"


def test_a_reader_that_has_left_does_not_end_a_training() -> None:
    class ClosedPipe(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    console = TrainingConsole(file=ClosedPipe())
    console.print("epoch 1")
    assert console.quiet
    console.print("epoch 2")
