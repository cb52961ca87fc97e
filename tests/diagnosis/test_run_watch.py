"""Runs with chosen numbers: what holds in them, since when, and what cannot be known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from diagnosis import RULES, Finding, RunWatch, Undecided
from diagnosis.evidence import Facts, Window
from diagnosis.findings import ending, holding
from diagnosis.image_grids import MAX_IMAGES, image_statistics, read_grid, variation
from diagnosis.readings import Judgement
from tests.support.health_events import FIELDS, HEALTHY, SIDE, Course, blobs, noise, run
from tracking.events import Event, Image, Metrics


def watched(events: Sequence[Event], **fields: object) -> RunWatch:
    watch = RunWatch({**FIELDS, **{f"config/{k.replace('__', '/')}": v for k, v in fields.items()}})
    for event in events:
        watch.add(event)
    watch.finish()
    return watch


def rules(watch: RunWatch) -> set[str]:
    return {finding.rule for finding in watch.holding()}


def only(watch: RunWatch, rule: str) -> Finding:
    (finding,) = [each for each in watch.findings if each.rule == rule]
    return finding


def test_a_healthy_run_has_no_findings() -> None:
    watch = watched(run(400, HEALTHY))
    assert watch.findings == []
    assert set(watch.unknown) == {"memorising"}
    assert ending(each.rule for each in holding(watch.findings)) is None


def test_a_discriminator_that_wins_is_dated_and_may_lose_again() -> None:
    def real(step: int) -> float:
        return 0.999 if 300 < step <= 700 else 0.7

    def fake(step: int) -> float:
        return 0.001 if 300 < step <= 700 else 0.3

    watch = watched(run(1_000, HEALTHY, D_x=real, D_G_z1=fake))
    finding = only(watch, "discriminator_won")
    assert finding.since == 301
    assert finding.seen == 400
    assert finding.ended
    assert finding.until in (700, 750)
    assert "D(x) is 0.999" in finding.evidence
    assert str(finding).startswith("D has won from step 301 to ")
    stopped_there = watched(run(700, HEALTHY, D_x=real, D_G_z1=fake))
    assert ending(each.rule for each in holding(stopped_there.findings)) == "collapsed"


@pytest.mark.parametrize(
    ("broken", "culprit"),
    [
        ({"D_x": 120}, "the data hold values that are not finite"),
        ({"D_G_z1": 120, "Gloss": 120}, "it began with G"),
        ({"Gloss": 120, "D_G_z2": 120, "D_x": 121, "D_G_z1": 121}, "it began with D"),
        ({"D_x": 120, "D_G_z1": 120}, "with D or with the data"),
    ],
)
def test_values_that_are_not_finite_name_who_began(broken: dict[str, int], culprit: str) -> None:
    def course(start: int) -> Course:
        return lambda step: math.nan if step >= start else 0.5

    watch = watched(run(200, HEALTHY, **{name: course(step) for name, step in broken.items()}))
    finding = only(watch, "not_finite")
    assert finding.since == 120
    assert culprit in finding.evidence
    assert ending(each.rule for each in holding(watch.findings)) == "diverged"
    assert holding(watch.findings)[0] == finding, "the gravest first"


def test_one_image_and_few_images() -> None:
    same = np.repeat(blobs(2, 1), SIDE * SIDE, axis=0)
    watch = watched(run(400, {0: noise(1), 200: blobs(2), 400: same}))
    assert {"one_image", "collapsed"} <= rules(watch)
    assert only(watch, "one_image").since == 400
    two = np.repeat(blobs(2, 2), SIDE * SIDE // 2, axis=0)
    watch = watched(run(400, {0: noise(1), 400: two}))
    assert "collapsed" in rules(watch)
    assert "one_image" not in rules(watch)


def test_noise_is_no_learning_and_no_collapse() -> None:
    watch = watched(run(400, {0: noise(1), 400: noise(2)}))
    assert rules(watch) == {"not_learning"}


def test_copies_of_few_real_images_are_told_where_all_are_shown() -> None:
    copies = blobs(0)[::-1]
    watch = watched(run(400, {0: noise(1), 400: copies}), dataset__size=SIDE * SIDE)
    assert rules(watch) == {"memorising"}
    assert "memorising" in watched(run(400, {0: noise(1), 400: copies})).unknown


def test_copies_are_not_judged_by_a_part_of_the_real_images() -> None:
    """The statistics of a grid are those of its first images."""
    real = image_statistics(blobs(0, MAX_IMAGES + 1)[..., None])
    grid = read_grid(400, image_statistics(blobs(2)[..., None]), real)
    assert grid is not None
    window = Window(first=301, last=400, means={}, grids=[grid])
    for size, kind in ((MAX_IMAGES, Judgement), (MAX_IMAGES + 1, Undecided)):
        facts = Facts({"config/dataset/size": size, "config/images/count": 1_024})
        assert isinstance(RULES["memorising"].read(facts, window), kind)


def test_black_cells_of_a_grid_of_few_real_images_are_no_images() -> None:
    """Of 13 images in rows of 4 the last row has three black cells."""
    few, faint = blobs(0, 13), blobs(2) // 8
    watch = watched(run(400, {0: noise(1), 400: faint}, real=few), dataset__size=13)
    expected = variation(faint[..., None]) / variation(few[..., None])
    assert only(watch, "collapsed").numbers["variation"] == pytest.approx(expected, abs=1e-6)


def test_weights_that_move_too_fast() -> None:
    watch = watched(run(200, HEALTHY, D_update_ratio=lambda step: 0.5))
    assert "each update moves D's weights by 50.0%" in only(watch, "diverging").evidence


def test_a_critic_may_move_its_weights_by_three_percent() -> None:
    assert watched(run(200, HEALTHY, G_update_ratio=lambda step: 0.031)).findings == []


def test_the_opening_is_as_many_updates_of_the_discriminator() -> None:
    won = {"D_x": lambda step: 0.999, "D_G_z1": lambda step: 0.001}
    assert "discriminator_won" not in rules(watched(run(150, HEALTHY, **won)))
    watch = watched(run(150, HEALTHY, **won), training__discriminator_batches=5)
    assert only(watch, "discriminator_won").seen == 50


def test_a_game_that_swings() -> None:
    def swing(step: int) -> float:
        return 0.98 if step // 30 % 2 else 0.05

    watch = watched(run(400, HEALTHY, D_x=swing, D_G_z1=swing))
    assert "oscillating" in rules(watch)


def test_data_at_fault_hold_from_the_start() -> None:
    watch = watched(run(60, {}), dataset__std=[0.001])
    assert only(watch, "data_at_fault").since == 0
    assert "hardly vary" in only(watch, "data_at_fault").evidence


def test_a_critic_and_a_run_without_grids_cannot_be_judged() -> None:
    watch = watched(run(400, {}), loss__name="wgan_gp")
    assert watch.findings == []
    assert "no goal" in watch.unknown["discriminator_won"]
    assert "no grids" in watch.unknown["collapsed"]


def test_three_steps_and_no_steps_at_all() -> None:
    watch = watched(run(3, {}))
    assert watch.findings == []
    assert watch.unknown["discriminator_won"] == "only 3 steps were trained"
    nothing = RunWatch()
    nothing.finish()
    assert set(nothing.unknown) == set(RULES)


def test_a_rule_that_is_not_judged_yet_is_not_taken_for_one_that_does_not_hold() -> None:
    won = {"D_x": lambda step: 0.999, "D_G_z1": lambda step: 0.001}
    early = watched(run(150, {0: noise(1), 150: noise(2)}, **won))
    assert early.findings == []
    assert early.unknown["discriminator_won"] == "it is judged once D has been updated 200 times"
    assert "from step 200 on" in early.unknown["generator_won"]
    assert early.unknown["not_learning"] == (
        "G's images are judged from step 200 on, and the last are of step 150"
    )
    same = np.repeat(blobs(2, 1), SIDE * SIDE, axis=0)
    untrained = watched(run(150, {0: same, 150: same}), dataset__size=SIDE * SIDE)
    assert untrained.findings == []
    assert {"one_image", "collapsed"} <= set(untrained.unknown)
    late = watched(run(250, {0: noise(1), 250: noise(2)}, **won))
    assert {"discriminator_won", "not_learning"} <= rules(late)
    assert set(late.unknown) == {"memorising"}


def test_metrics_of_other_programs_are_not_judged() -> None:
    watch = RunWatch({})
    watch.add(Metrics([1, 500], [0, 0], {"loss/generator": [1.0, math.nan]}))
    watch.finish()
    assert watch.findings == []


def test_the_same_is_found_while_a_run_is_trained_and_afterwards() -> None:
    def real(step: int) -> float:
        return 0.999 if step > 130 else 0.7

    same = np.repeat(blobs(2, 1), SIDE * SIDE, axis=0)
    events = run(
        430,
        {0: noise(1), 150: blobs(3), 300: same},
        D_x=real,
        D_G_z1=lambda step: 1 - real(step),
    )
    live = watched(events)
    stored = watched(
        [each for each in events if isinstance(each, Image)]
        + [each for each in events if isinstance(each, Metrics)]
    )
    assert live.findings == stored.findings
    assert len(live.findings) >= 3
    assert live.unknown == stored.unknown
