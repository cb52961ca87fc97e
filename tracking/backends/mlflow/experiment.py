"""The MLflow experiment that holds the runs, and the client that reaches it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tracking.backends.mlflow.address import ARTIFACT_FOLDER, database_file, file_store
from tracking.backends.mlflow.connection import connect, set_defaults
from tracking.backends.mlflow.database import has_tables
from tracking.errors import ServerError, StoreError
from tracking.events import SWEEP
from tracking.fields import to_iso8601, to_text
from tracking.tracker import Run

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities

DEFAULT_EXPERIMENT = "dcgan"

RUNS_PER_PAGE = 100
"""Runs per request: a page must arrive within the timeout."""

_Entity = TypeVar("_Entity")

COLOUR_TAG = "mlflow.runColor"
_COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
"""Seaborn's palette `colorblind`: MLflow gives neighbouring runs nearly the same colour."""

_NEIGHBOURS = 10
"""How many runs MLflow's UI draws together by default."""

PARENT_TAG = "mlflow.parentRunId"

SWEEP_PARENT_TAG = f"{SWEEP}/parent"
"""The tag that marks the parent run of a sweep."""


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
        return next(iter(self._entries(run)), None)

    def delete_empty_copies(self, run: str, kept: str) -> None:
        """Delete duplicates of a run, which a server creates if a timed-out request is repeated.

        Args:
            run: Our id of the run.
            kept: MLflow's own id of the entry to keep; others that hold anything are kept as well.
        """
        for entry in self._entries(run):
            if entry.info.run_id != kept and not _content(entry):
                self.client.delete_run(entry.info.run_id)

    def _entries(self, run: str) -> list[mlflow.entities.Run]:
        """All entries of a run, the one with the most content first."""
        entries = self.runs(f"tags.`sys/id` = '{to_text(run)}'")
        return sorted(entries, key=lambda entry: (-_content(entry), entry.info.run_id))

    def create(self, run: Run, adopt: str | None = None) -> str:
        """Create a run and return MLflow's own id of it.

        Args:
            run: Our run.
            adopt: MLflow's own id of an existing run to use instead of a new one.
        """
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        tags = {path: to_text(value) for path, value in identity.items()}
        tags[COLOUR_TAG] = self._least_used_colour()
        if adopt:
            for name, text in tags.items():
                self.client.set_tag(adopt, name, text, synchronous=True)
            return adopt
        created = self.client.create_run(
            self.id, start_time=run.created, tags=tags, run_name=run.name
        )
        return str(created.info.run_id)

    def _least_used_colour(self) -> str:
        """The colour that the fewest of the newest runs have."""
        newest = self.client.search_runs([self.id], max_results=_NEIGHBOURS)
        used = [run.data.tags.get(COLOUR_TAG) for run in newest]
        return min(_COLOURS, key=used.count)

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


def _content(entry: mlflow.entities.Run) -> int:
    """How many metrics and params an entry has."""
    return len(entry.data.metrics) + len(entry.data.params)


def colour_of_arm(arm: str, joined: Iterable[mlflow.entities.Run]) -> str:
    """The colour of an arm of a sweep; its first run gets one that the fewest arms have.

    Args:
        arm: The arm.
        joined: The sweep's runs so far.
    """
    colours = {
        run.data.tags.get(f"{SWEEP}/arm"): run.data.tags.get(COLOUR_TAG, "") for run in joined
    }
    return colours.get(arm) or min(_COLOURS, key=list(colours.values()).count)


def open_experiment(uri: str) -> Experiment:
    """The experiment for writing; created if it does not exist.

    Raises:
        StoreError: The experiment, or the run that MLFLOW_RUN_ID names, was deleted or does not
            exist; the server wants a user or has moved; or the sqlite file is not MLflow's.
    """
    client = connect(uri)
    existing = _find(client)
    if existing and existing.lifecycle_stage == "deleted":
        raise StoreError(
            f"MLflow's experiment {existing.name} was deleted. Bring it back with: "
            f"{_command(uri)} experiments restore --experiment-id {existing.experiment_id}\n"
            "Or name another one in the environment variable MLFLOW_EXPERIMENT_NAME."
        )
    if existing:
        return Experiment(client, existing.experiment_id)
    from mlflow.exceptions import MlflowException

    database = database_file(uri)
    # Without a location MLflow would put the artifacts into the working directory.
    location = (database.parent / ARTIFACT_FOLDER).as_uri() if database else None
    name = _experiment_name()
    try:
        return Experiment(client, client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another run created it first
            raise
        return Experiment(client, client.get_experiment_by_name(name).experiment_id)


def find_experiment(uri: str) -> Experiment | None:
    """The experiment for reading; None if it does not exist. Never creates a file.

    Raises:
        ServerError: MLflow does not answer.
        StoreError: The sqlite file is not MLflow's, or the server wants a user or has moved.
    """
    client = find_client(uri)
    if client is None:
        return None
    with _answering(uri):
        existing = _find(client)
    return Experiment(client, existing.experiment_id) if existing else None


def find_client(uri: str) -> mlflow.MlflowClient | None:
    """The client for reading; None if there is no such store here. Never creates a file.

    Raises the same as `find_experiment`.
    """
    database, folder = database_file(uri), file_store(uri)
    if database and not (database.exists() and has_tables(database)):
        return None
    if folder and not folder.exists():
        return None
    with _answering(uri):
        return connect(uri)


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """Turn MLflow's exceptions into ServerError."""
    set_defaults()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        reason = " ".join(str(error).split())[:300]
        raise ServerError(f"MLflow does not answer at {uri}:\n{reason}") from error


def run_of_environment() -> str | None:
    """MLflow's own id of the run that `mlflow run` started for this process, if any."""
    return os.environ.get("MLFLOW_RUN_ID") or None


def may_adopt(experiment: Experiment, run_id: str) -> bool:
    """Whether a run that `mlflow run` started is not yet used by a run of ours.

    Raises StoreError if it was deleted.
    """
    run = _get(experiment.client.get_run, run_id, "MLFLOW_RUN_ID")
    if run.info.lifecycle_stage == "deleted":
        raise StoreError(
            f"MLflow's run {run_id}, which MLFLOW_RUN_ID names, was deleted. Bring it back with: "
            f"mlflow runs restore --run-id {run_id}\nOr unset that variable."
        )
    return "sys/id" not in run.data.tags


def _find(client: mlflow.MlflowClient) -> mlflow.entities.Experiment | None:
    """The experiment that the environment names, by the rules of MLflow's own client."""
    name, number = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    if run_id := run_of_environment():
        run = _get(client.get_run, run_id, "MLFLOW_RUN_ID")
        return client.get_experiment(run.info.experiment_id)
    if name or not number:
        experiment = client.get_experiment_by_name(_experiment_name())
        if number and (experiment is None or experiment.experiment_id != number):
            raise StoreError(
                f"MLFLOW_EXPERIMENT_ID is {number}, but MLFLOW_EXPERIMENT_NAME {name!r} is "
                f"{f'number {experiment.experiment_id}' if experiment else 'no experiment yet'}. "
                "Unset one of them."
            )
        return experiment
    return _get(client.get_experiment, number, "MLFLOW_EXPERIMENT_ID")


def _get(fetch: Callable[[str], _Entity], identifier: str, variable: str) -> _Entity:
    """MLflow's entity with that id; raises StoreError if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return fetch(identifier)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise StoreError(
            f"{variable} is {identifier}, which MLflow does not have. Correct or unset it."
        ) from error


def _command(uri: str) -> str:
    """MLflow's own command for that address."""
    return (
        "mlflow" if os.environ.get("MLFLOW_TRACKING_URI") else f"MLFLOW_TRACKING_URI={uri} mlflow"
    )


def _experiment_name() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
