"""Which way each metric is better, by whatever name it goes."""

from __future__ import annotations

import pytest

from tracking.metric_directions import METRIC_DIRECTIONS, MetricDirection, direction_of, improves


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("fid", "lower"),
        ("lenet_fid", "lower"),
        ("random_kid", "lower"),
        ("best_lenet_fid", "lower"),
        ("evaluation/best_fid", "lower"),
        ("inception_1a2b3c4d_precision", "higher"),
        ("evaluation/inception_1a2b3c4d_recall", "higher"),
        ("modes", "higher"),
        ("evaluation/lenet_memorisation", "0.5"),
        ("random_two_sample_accuracy_real", "0.5"),
        ("ms_ssim", "as real"),
        ("Gloss", None),
        ("training/batch/D_x", None),
        ("other_fid", None),
        ("training/fid", None),
    ],
)
def test_a_name_with_or_without_its_feature_space(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction


def test_every_metric_is_found_under_each_feature_space() -> None:
    for name, direction in METRIC_DIRECTIONS.items():
        for prefix in ("", "lenet_", "random_", "inception_0123abcd_"):
            assert direction_of(prefix + name) == direction


@pytest.mark.parametrize(
    ("value", "best", "direction", "expected"),
    [
        (3.0, 4.0, "lower", True),
        (4.0, 3.0, "lower", False),
        (3.0, 4.0, "higher", False),
        (4.0, 3.0, "higher", True),
        (3.0, 3.0, "lower", True),
        (3.0, None, "lower", True),
        (float("nan"), None, "lower", False),
        (float("inf"), 1.0, "higher", False),
    ],
)
def test_the_better_value_follows_the_direction(
    value: float, best: float | None, direction: MetricDirection, expected: bool
) -> None:
    assert improves(value, best, direction) == expected


@pytest.mark.parametrize("direction", ["0.5", "as real"])
def test_what_has_no_direction_is_not_ranked(direction: MetricDirection) -> None:
    with pytest.raises(ValueError, match="cannot be ranked"):
        improves(0.4, 0.6, direction)
