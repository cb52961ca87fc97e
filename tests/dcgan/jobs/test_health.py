"""What a run tells of its health while it is trained, and how a rule ends it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dcgan.config.schema import Config, ConfigError
from dcgan.jobs.health import STOP_GROUPS, HealthMonitor, parse_stop_when
from dcgan.jobs.prepare import Job, RunMetadata, prepare
from dcgan.jobs.run import run_job
from diagnosis import follow
from diagnosis.findings import Finding
from tests.support.health_events import HEALTHY, noise, run, write_health_journal
from tracking.backends.local import read_fields
from tracking.events import Event, Fields, Metrics


def ignore(event: Event) -> None:
    """A listener that does nothing."""


def test_names_of_rules_and_of_endings_end_a_run() -> None:
    assert parse_stop_when(None) == ()
    assert parse_stop_when("not_learning, diverged") == ("not_learning", "not_finite")
    assert "discriminator_won" in parse_stop_when("collapsed")
    with pytest.raises(ConfigError, match=r"There is no rule 'colapsed'.*\n.*collapsed"):
        parse_stop_when("colapsed")


def block(first: int, output: float) -> Metrics:
    steps = list(range(first, first + 50))
    values = {"D_x": output, "D_G_z1": 1 - output, "Gloss": 1.0, "Dloss": 1.0}
    return Metrics(
        steps, [0] * 50, {f"training/batch/{name}": [v] * 50 for name, v in values.items()}
    )


def test_fields_and_tags_say_what_begins_and_ends() -> None:
    told: list[Fields] = []
    monitor = HealthMonitor(told.append, pytest.fail, ("discriminator_won",), ("mine",))
    monitor.add(Fields({"config/loss/name": "bce"}))
    for first in range(1, 400, 50):
        monitor.add(block(first, 0.999))
    assert len(told) == 1
    assert told[0].values["health/holds"] == ["discriminator_won"]
    assert told[0].values["health/discriminator_won/since"] == 101
    assert "0.999" in str(told[0].values["health/discriminator_won/evidence"])
    assert told[0].values["sys/tags"] == ["mine", "discriminator_won"]
    assert isinstance(monitor.stopped_by, Finding)
    for first in range(401, 800, 50):
        monitor.add(block(first, 0.7))
    assert len(told) == 2
    assert told[1].values["health/holds"] == []
    assert told[1].values["health/discriminator_won/until"] == 400
    assert told[1].values["sys/tags"] == ["mine"]


def test_rules_that_fail_do_not_end_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: follow.RunWatch, event: Event) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(follow.RunWatch, "add", fail)
    warnings: list[str] = []
    monitor = HealthMonitor(ignore, warnings.append)
    monitor.add(block(1, 0.5))
    monitor.add(block(51, 0.5))
    assert len(warnings) == 1
    assert "a fault" in warnings[0]


@pytest.fixture
def job(
    tmp_path: Path, small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> Job:
    """A job of 8 steps over 64 images that are all the same, judged every two steps."""
    monkeypatch.setattr(follow, "EVERY_STEPS", 2)
    monkeypatch.setattr("dcgan.training.metric_buffer.BLOCK_STEPS", 2)
    job = prepare(small_config(), "cpu", tmp_path, (), RunMetadata(tags=("mine",)))
    images = replace(
        job.images,
        pixels=torch.full((64, 1, 32, 32), 117, dtype=torch.uint8),
        card=replace(job.images.card, size=64, std=(0.0,)),
    )
    return replace(job, images=images)


def test_a_rule_ends_a_run_which_can_be_continued(
    job: Job,
) -> None:
    result = run_job(
        replace(job, stop_when=("data_at_fault",)), [], listen=ignore, warn=lambda text: None
    )
    assert result.status == "stopped"
    assert result.steps < job.total_steps == 8
    fields = read_fields(result.folder)
    assert fields["sys/status"] == "stopped"
    assert fields["sys/tags"] == ["mine", "data_at_fault"]
    assert fields["health/holds"] == ["data_at_fault"]
    assert list((result.folder / "checkpoints").glob("*.pt"))


def test_a_resumed_run_is_told_anew_what_its_journal_holds(tmp_path: Path) -> None:
    """Of steps that were trained, but lie after the checkpoint, nothing is left."""
    won = run(600, HEALTHY, D_x=lambda step: 0.999, D_G_z1=lambda step: 0.001)
    stale = {"health/holds": ["one_image"], "health/one_image/since": 700, "sys/tags": ["mine"]}
    folder = write_health_journal(tmp_path, "won-abc234", [*won, Fields(stale)])
    told: list[Fields] = []
    monitor = HealthMonitor(told.append, pytest.fail, ("discriminator_won",))
    monitor.replay(folder)
    (fields,) = told
    assert fields.values["health/one_image/since"] is None
    assert fields.values["health/discriminator_won/since"] == 101
    assert fields.values["health/holds"] == ["discriminator_won"]
    assert fields.values["sys/tags"] == ["mine", "discriminator_won"]
    assert monitor.stopped_by is None, "it is asked again once the run goes on"
    monitor.add(block(601, 0.999))
    assert monitor.stopped_by is not None


def test_a_resumed_run_is_told_of_what_its_grids_show(tmp_path: Path) -> None:
    """The grid of real images, with which they are compared, is the last of the journal."""
    noisy = {step: noise(step) for step in (0, 200, 400, 600)}
    folder = write_health_journal(tmp_path, "noisy-abc234", run(600, noisy))
    told: list[Fields] = []
    HealthMonitor(told.append, pytest.fail).replay(folder)
    (fields,) = told
    assert fields.values["health/not_learning/since"] == 200
    assert fields.values["health/holds"] == ["not_learning"]


def test_the_page_names_the_rules_that_a_group_stands_for() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if "`collapsed` stands for" in line)
    _, collapsed, diverged = re.split("`collapsed` stands for|`diverged` for", line)
    diverged = diverged.partition(":")[0]
    assert tuple(re.findall(r"`(\w+)`", collapsed)) == STOP_GROUPS["collapsed"]
    assert tuple(re.findall(r"`(\w+)`", diverged)) == STOP_GROUPS["diverged"]
