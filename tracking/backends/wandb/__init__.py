"""Weights & Biases: W&B's client, offline in the store's `wandb/`, for `wandb sync`.

    fields          the run's config under their own paths; name and tags also as W&B's own
    metrics         history rows; `global_step` is the step, `_timestamp` the time
    images          image files of history rows
    texts, files    among the run's files

The client passes everything to its service process, `wandb-core`, which writes a log,
`run-<id>.wandb`. A call here returns once the log has the event. The reader parses the log: the
client's records, framed like LevelDB's logs. A reopened run gets a second folder; the reader merges
the folders of a run.

W&B's own step counts rows: it may never decrease, but an image can belong to an earlier step.
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
