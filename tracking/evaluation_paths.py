"""The paths of an evaluation's scores, and of the fields that describe them.

evaluation/lenet_fid              the score
evaluation/best_lenet_fid         the best score so far, while a run trains
sys/evaluation/better/lenet_fid   its direction, see `tracking.metric_directions`
sys/evaluation/floor/lenet_fid    what held-out real images get
sys/evaluation/spread/lenet_fid   the standard deviation over sets of fakes
"""

from __future__ import annotations

from tracking.events import EVALUATION, SYS

EVALUATION_FIELDS = f"{SYS}/{EVALUATION}"
DIRECTIONS = f"{EVALUATION_FIELDS}/better"
REAL_SCORES = f"{EVALUATION_FIELDS}/floor"
SPREADS = f"{EVALUATION_FIELDS}/spread"

BEST_STEP = f"{EVALUATION_FIELDS}/best_step"
"""The field that holds the step of a run's best checkpoint."""

_SCORE = f"{EVALUATION}/"
_BEST = f"{EVALUATION}/best_"


def score_name(path: str) -> str | None:
    """The metric of a score's path, such as `lenet_fid`; None for any other path.

    The best score so far does not count as a separate score.
    """
    if not path.startswith(_SCORE) or is_best_score(path):
        return None
    return path.removeprefix(_SCORE)


def best_score_path(metric: str) -> str:
    """The path of a metric's best score so far."""
    return f"{_BEST}{metric}"


def is_best_score(path: str) -> bool:
    """Whether a path is that of a metric's best score so far."""
    return path.startswith(_BEST)


def metric_of(path: str) -> str:
    """The metric of a score's path, of the best score's path, or of their last parts."""
    return path.removeprefix(_SCORE).removeprefix("best_")
