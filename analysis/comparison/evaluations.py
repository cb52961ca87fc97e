"""Which evaluation metrics can be compared: those that were measured in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analysis.comparison.arms import as_texts
from tracking.evaluation_paths import EVALUATION_FIELDS, is_best_score, metric_of
from tracking.events import BATCH, CONFIG, EVALUATION, SYS
from tracking.metric_directions import feature_space_of
from tracking.wording import join_with_and

if TYPE_CHECKING:
    from analysis.runs import Runs

_OF_ALL = {
    f"{CONFIG}/dataset/fingerprint": "real images",
    f"{CONFIG}/dataset/image_size": "resolution",
    f"{SYS}/{EVALUATION}/samples": "number of samples",
    f"{SYS}/{EVALUATION}/held_out": "held-out images",
    f"{SYS}/{EVALUATION}/arithmetic": "arithmetic",
    f"{SYS}/{EVALUATION}/version": "version of the metrics",
}
_WITHOUT_FEATURES = ("sliced_wasserstein", "ms_ssim")
_BY_CLASSES = ("class_coverage", "class_divergence", "modes", "mode_divergence")
_NOT_RECORDED = "not recorded"
_MAX_SHOWN, _MAX_LISTED = 60, 3


def differing_conditions(path: str, runs: Runs, ids: Sequence[str]) -> Mapping[str, list[str]]:
    """What differs between runs in how a metric was measured.

    Args:
        path: The path of the metric, such as `evaluation/lenet_fid`.
        runs: All runs.
        ids: Ids of the runs that have the metric.

    Returns:
        Name of each condition that differs -> its values; empty if the values can be compared,
        which is always so for metrics that are not evaluations.
    """
    if not path.startswith(f"{EVALUATION}/"):
        return {}
    evaluated = runs.table.loc[list(ids)]
    conditions = _OF_ALL | _feature_network(path, evaluated)
    values = {
        words: sorted(set(as_texts(evaluated[column].fillna(_NOT_RECORDED))))
        for column, words in conditions.items()
        if column in evaluated
    }
    if not is_best_score(path):
        values["time of the last evaluation"] = sorted(
            {_time_of_evaluation(path, runs, run) for run in ids}
        )
    return {words: texts for words, texts in values.items() if len(texts) > 1}


def _time_of_evaluation(path: str, runs: Runs, run: str) -> str:
    """At which step, or whether at the end, a run's last value of a metric was measured."""
    batches = [each for each in runs.last_values_of(run) if each.startswith(f"{BATCH}/")]
    steps = dict(runs.last_steps(run, [path, *batches[:1]]))
    measured = steps.pop(path, None)
    if measured is None:  # a store keeps last values apart; the line of this one is damaged
        return _NOT_RECORDED
    last = max(steps.values(), default=0)
    return "the end" if measured >= last else f"step {measured:,} of {last:,}"


def _feature_network(path: str, evaluated: pd.DataFrame) -> dict[str, str]:
    """The field that describes a metric's feature network; empty if it compares pixels."""
    if path.endswith(_WITHOUT_FEATURES):
        return {}
    name = metric_of(path)
    # The classes of the run's own images are told apart by the LeNet classifier.
    space = "lenet" if name in _BY_CLASSES else feature_space_of(name)
    own = f"{EVALUATION_FIELDS}/features/{space or 'inception'}"
    # Older evaluations have one field for all networks.
    has_own = own in evaluated and evaluated[own].notna().all()
    return {own if has_own else f"{EVALUATION_FIELDS}/feature_space": "feature network"}


def conditions_in_words(conditions: Mapping[str, list[str]]) -> str:
    """Differing conditions on one line, such as `number of samples: 200 and 10000`."""
    return "; ".join(f"{words}: {_listed(texts)}" for words, texts in conditions.items())


def _listed(texts: Sequence[str]) -> str:
    shown = [_shortened(text) for text in texts[:_MAX_LISTED]]
    if len(texts) > len(shown):
        return f"{', '.join(shown)}, ..."
    return join_with_and(shown)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
