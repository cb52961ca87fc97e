"""Which way each metric is better, by whatever name it goes."""

from __future__ import annotations

import pytest

from tracking.metric_directions import METRIC_DIRECTIONS, direction_of


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
