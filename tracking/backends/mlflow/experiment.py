"""The MLflow experiment that holds the runs, and the client that reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracking.backends.mlflow.address import ARTIFACT_FOLDER, database_file
from tracking.backends.mlflow.database import ensure_database, has_tables
from tracking.errors import ServerError, StoreError
from tracking.events import SWEEP
from tracking.fields import to_iso8601, to_text
from tracking.tracker import Run

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

DEFAULT_EXPERIMENT = "dcgan"

RUNS_PER_PAGE = 100
"""A page of runs must arrive within the timeout."""

SWEEP_PARENT_TAG = f"{SWEEP}/parent"
"""Marks the parent run of a sweep."""

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Give up a dead or silent server after 10 s; by MLflow's defaults it takes minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    # The terminal belongs to the progress bar of the training.
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class Experiment:
    """One experiment on a server or in a sqlite file.

    Attributes:
        client: The client of that server or file.
        id: MLflow's own id of the experiment.
    """

    client: mlflow.MlflowClient
    id: str

    def runs(self, condition: str = "") -> Iterator[mlflow.entities.Run]:
        """The runs that meet a condition in MLflow's search language, fetched page by page."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.id], condition, max_results=RUNS_PER_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def find(self, run: str) -> mlflow.entities.Run | None:
        """The run with this id of ours; None if the experiment lacks it."""
        return next(self.runs(f"tags.`sys/id` = '{to_text(run)}'"), None)

    def create(self, run: Run) -> str:
        """Create a run and return MLflow's own id of it."""
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        tags = {path: to_text(value) for path, value in identity.items()}
        created = self.client.create_run(
            self.id, start_time=run.created, tags=tags, run_name=run.name
        )
        return str(created.info.run_id)

    def find_sweep(self, sweep: str) -> str | None:
        """MLflow's own id of the parent run of a sweep; None if there is none yet."""
        condition = f"tags.`{SWEEP}/id` = '{to_text(sweep)}' and tags.`{SWEEP_PARENT_TAG}` = 'true'"
        parent = next(self.runs(condition), None)
        return str(parent.info.run_id) if parent else None

    def create_sweep(self, sweep: str, name: str) -> str:
        """Create the parent run of a sweep and return MLflow's own id of it.

        It has no `sys/id`, so that readers do not take it for a run.
        """
        tags = {f"{SWEEP}/id": to_text(sweep), f"{SWEEP}/name": to_text(name)}
        created = self.client.create_run(
            self.id, tags={**tags, SWEEP_PARENT_TAG: to_text(True)}, run_name=name
        )
        return str(created.info.run_id)


def open_experiment(uri: str) -> Experiment:
    """The experiment for writing; created if it does not exist."""
    client = _connect(uri)
    name = _experiment_name()
    existing = client.get_experiment_by_name(name)
    if existing and existing.lifecycle_stage == "deleted":
        raise StoreError(
            f"MLflow's experiment {name} was deleted. Bring it back with:\n"
            f"mlflow experiments restore --experiment-id {existing.experiment_id}\n"
            "Or name another one by the environment variable MLFLOW_EXPERIMENT_NAME."
        )
    if existing:
        return Experiment(client, existing.experiment_id)
    from mlflow.exceptions import MlflowException

    database = database_file(uri)
    # Without a location MLflow would put the artifacts into the working directory.
    location = (database.parent / ARTIFACT_FOLDER).as_uri() if database else None
    try:
        return Experiment(client, client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another run was first
            raise
        return Experiment(client, client.get_experiment_by_name(name).experiment_id)


def find_experiment(uri: str) -> Experiment | None:
    """The experiment for reading; None if it does not exist. Never creates a file.

    Raises:
        ServerError: MLflow does not answer.
        StoreError: The sqlite file is not MLflow's.
    """
    database = database_file(uri)
    if database and not (database.exists() and has_tables(database)):
        return None
    _set_defaults()
    from mlflow.exceptions import MlflowException

    try:
        client = _connect(uri)
        existing = client.get_experiment_by_name(_experiment_name())
    except MlflowException as error:
        reason = " ".join(str(error).split())[:300]
        raise ServerError(f"MLflow does not answer at {uri}:\n{reason}") from error
    return Experiment(client, existing.experiment_id) if existing else None


def _set_defaults() -> None:
    """Set what MLflow reads when it is imported; the user's own settings win."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def _connect(uri: str) -> mlflow.MlflowClient:
    _set_defaults()
    from mlflow import MlflowClient

    database = database_file(uri)
    if database is None:
        return MlflowClient(uri)
    ensure_database(database)
    return MlflowClient(uri)


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
