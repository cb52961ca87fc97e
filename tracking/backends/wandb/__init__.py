"""Weights & Biases: the real client, offline in the store's `wandb/`, for `wandb sync`.

    fields          the run's config under their own paths; name and tags also as W&B has them
    metrics         history rows; `global_step` is the step, `_timestamp` the time
    images          image files of history rows
    texts, files    among the run's files

The client hands everything to a service process of its own, `wandb-core`, which writes a log,
`run-<id>.wandb`. A call returns once the log has what it wrote. The log is read back here: its
records are the client's own, its framing is that of LevelDB's logs. A run that is opened again gets
a second folder; the reader merges the folders of a run.

W&B's own step counts rows, since it may never go back, which an image of an earlier step would.
"""

from tracking.backends.wandb.reading import (
    load_events,
    load_last_values,
    load_runs,
    load_steps,
    load_tails,
)
from tracking.backends.wandb.writing import WandbTracker, open_tracker

__all__ = [
    "WandbTracker",
    "load_events",
    "load_last_values",
    "load_runs",
    "load_steps",
    "load_tails",
    "open_tracker",
]
