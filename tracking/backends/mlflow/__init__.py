"""MLflow 3: a sqlite file in the store, or the server at MLFLOW_TRACKING_URI.

    config/...      params, which MLflow never lets change
    other fields    tags; the tag sys/id identifies the run
    metrics         under their own paths, at their own steps and times
    non_finite/     metrics: NaN as 0 and infinities as 1 and -1, which the UI cannot draw
    images          the series that the UI shows by step
    texts, files    artifacts under their own paths
    long_fields/    artifacts: the full text of each value too long for a param or a tag
    sys/sweep/...   tags; and the run becomes the child of one parent run per sweep

The data set is also logged as MLflow's own dataset input, and the tags `mlflow.source.*`
show the code version in MLflow's UI. `sys/tags` is a single tag, a JSON list; search for one
of its names with ``tags.`sys/tags` LIKE '%"baseline"%'``.

Three saved views, which are tags of the experiment, arrange the UI's pages for these runs.
"""

from tracking.backends.mlflow.address import (
    ARTIFACT_FOLDER,
    DATABASE_FILE,
    database_file,
    tracking_uri,
)
from tracking.backends.mlflow.experiment import DEFAULT_EXPERIMENT
from tracking.backends.mlflow.models import ServedModel, log_model
from tracking.backends.mlflow.pages import ui_page
from tracking.backends.mlflow.reading import (
    load_events,
    load_last_values,
    load_runs,
    load_steps,
    load_tails,
)
from tracking.backends.mlflow.writing import MlflowTracker, open_tracker

__all__ = [
    "ARTIFACT_FOLDER",
    "DATABASE_FILE",
    "DEFAULT_EXPERIMENT",
    "MlflowTracker",
    "ServedModel",
    "database_file",
    "load_events",
    "load_last_values",
    "load_runs",
    "load_steps",
    "load_tails",
    "log_model",
    "open_tracker",
    "tracking_uri",
    "ui_page",
]
