"""Stores this program's views in the experiment's tags, as MLflow's UI stores those of users.

MLflow lists each tag `mlflow.sharedViewState.<key>` as a view, and `viewStateShareKey=<key>` in the
UI's address opens it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from tracking.backends.mlflow.artifacts import list_pictures
from tracking.backends.mlflow.experiment import Experiment
from tracking.backends.mlflow.layout import DIVERGED_TAG, metric_path
from tracking.backends.mlflow.names import from_mlflow
from tracking.backends.mlflow.views import (
    Contents,
    State,
    View,
    ViewName,
    differing_keys,
    saved_views,
    section_of,
)
from tracking.clock import now_ms
from tracking.events import CONFIG, FIXED_NOISE, SWEEP

if TYPE_CHECKING:
    import mlflow.entities

_TAG = "mlflow.sharedViewState."
_FORMAT = "deflate;"
_MARK = "dcgan"
"""A key that only we write: the UI drops it when a user saves a view over one of ours."""

_RUNS = 100
"""How many of the newest runs determine the columns; MLflow sends them in one page."""

_RUNS_WITH_GRIDS = 10
"""How many of the newest runs the UI shows grids of."""


def share_key(name: ViewName) -> str:
    """The value of `viewStateShareKey` that opens the view."""
    return f"dcgan-{name}"


def refresh_views(experiment: Experiment) -> dict[ViewName, View]:
    """Write the views for the experiment's current runs, and repair damaged ones.

    Views that a user saved are left as they are, even under one of our keys.

    Returns:
        The views that can be opened.
    """
    views = saved_views(_contents(experiment))
    tags = experiment.client.get_experiment(experiment.id).tags
    for name, view in views.items():
        key = f"{_TAG}{share_key(name)}"
        if _may_write(tags.get(key), view):
            created = _envelope(tags.get(key)).get("createdAt")
            moment = now_ms()
            envelope = {
                "name": view.title,
                "createdAt": created if isinstance(created, int) else moment,
                "updatedAt": moment,
                "state": encode_state(view.state),
                _MARK: True,
            }
            experiment.client.set_experiment_tag(experiment.id, key, json.dumps(envelope))
    return views


def encode_state(state: State) -> str:
    """A view's state in the encoding of MLflow's UI."""
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), level=9)
    return _FORMAT + base64.b64encode(packed).decode()


def decode_state(text: str) -> State:
    """The inverse of `encode_state`; raises ValueError if the text is something else."""
    try:
        packed = base64.b64decode(text.removeprefix(_FORMAT), validate=True)
        state = json.loads(zlib.decompress(packed))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not the state of a view: {text[:40]!r}") from error
    if not isinstance(state, dict):
        raise ValueError(f"not the state of a view: {text[:40]!r}")
    return state


def _may_write(tag: str | None, view: View) -> bool:
    """Whether the tag is missing, damaged, or ours with another state."""
    envelope = _envelope(tag)
    try:
        state = decode_state(str(envelope.get("state")))
    except ValueError:
        return True
    return bool(envelope.get(_MARK)) and (state, envelope.get("name")) != (view.state, view.title)


def _envelope(tag: str | None) -> State:
    """The decoded tag of a view; empty if it is damaged."""
    try:
        envelope = json.loads(tag or "")
    except ValueError:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _contents(experiment: Experiment) -> Contents:
    runs = [run for run in islice(experiment.runs(), _RUNS) if "sys/id" in run.data.tags]
    configurations = [
        {
            path: text
            for path, text in ((from_mlflow(name), text) for name, text in run.data.params.items())
            if path.startswith(f"{CONFIG}/")
        }
        for run in runs
    ]
    names = {name for run in runs for name in run.data.metrics}
    return Contents(
        differing=differing_keys(configurations),
        metrics=frozenset(map(metric_path, names)),
        grid_step=_common_grid_step(experiment, runs[:_RUNS_WITH_GRIDS]),
        has_diverged=any(DIVERGED_TAG in run.data.tags for run in runs),
        sections=frozenset(map(section_of, names)),
        sweeps=len({run.data.tags.get(f"{SWEEP}/id") for run in runs} - {None}),
    )


def _common_grid_step(experiment: Experiment, runs: list[mlflow.entities.Run]) -> int:
    """The last step at which as many of the runs as possible have a grid.

    That of step 0 comes last: every run has it, and it shows noise.
    """
    counts: Counter[int] = Counter()
    for run in runs:
        pictures = list_pictures(experiment.client, run)
        counts.update({picture.step for picture in pictures if picture.path == FIXED_NOISE})
    return max(counts, key=lambda step: (step > 0, counts[step], step), default=0)
