"""Whether lower or higher is better for each evaluation metric, for evaluations and rankings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from tracking.evaluation_paths import metric_of

MetricDirection: TypeAlias = Literal["lower", "higher", "as real", "0.5"]
"""`as real` is best where real images are, `0.5` at that value; neither can be ranked."""

METRIC_DIRECTIONS: Mapping[str, MetricDirection] = {
    "fid": "lower",
    "kid": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": "higher",
    "coverage": "higher",
    "two_sample_accuracy": "0.5",
    "two_sample_accuracy_real": "0.5",
    "two_sample_accuracy_fake": "0.5",
    "memorisation": "0.5",
    "class_coverage": "higher",
    "class_divergence": "lower",
    "modes": "higher",
    "mode_divergence": "lower",
    "sliced_wasserstein": "lower",
    "ms_ssim": "as real",
}
"""Name of a metric without the prefix of its feature space -> its direction."""

_FEATURE_SPACE = re.compile(r"(lenet|random|inception_[0-9a-f]+)_")


def feature_space_of(metric_name: str) -> str:
    """The feature space that a metric's name begins with, such as `lenet`; empty if it has none."""
    prefix = _FEATURE_SPACE.match(metric_name)
    return prefix[1] if prefix else ""


def improves(value: float, best: float | None, direction: MetricDirection) -> bool:
    """Whether a value is as good as the best so far, or better; never if it is not finite.

    Args:
        value: The new value.
        best: The best value so far; None if there is none.
        direction: `lower` or `higher`; raises ValueError for any other, which cannot be ranked.
    """
    if direction not in ("lower", "higher"):
        raise ValueError(f"Values whose best is {direction!r} cannot be ranked.")
    if not math.isfinite(value):
        return False
    return best is None or (value <= best if direction == "lower" else value >= best)


def direction_of(metric_name: str) -> MetricDirection | None:
    """The direction of an evaluation metric; None for any other name.

    Understands names with a feature space (`lenet_fid`, `inception_1a2b3c4d_kid`), the best value
    so far (`best_lenet_fid`) and paths (`evaluation/lenet_fid`).
    """
    name = metric_of(metric_name)
    prefix = _FEATURE_SPACE.match(name)
    return METRIC_DIRECTIONS.get(name[prefix.end() :] if prefix else name)
