"""The pages of MLflow's UI that show the runs of a store."""

from __future__ import annotations

from pathlib import Path

from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.connection import server_version
from tracking.backends.mlflow.experiment import find_experiment
from tracking.backends.mlflow.saved_views import refresh_views, share_key
from tracking.backends.mlflow.views import ViewName

_WITH_OUR_VIEWS = ((3, 17), (4, 0))
"""The MLflow versions whose UI understands our views: from the first to before the second."""


def ui_page(store: Path, view: ViewName | None) -> str:
    """The fragment of the UI's address that shows a store's runs.

    Args:
        store: The store.
        view: The view to open, whose tag is refreshed; None for MLflow's own page, which is also
            used if the server's version does not support our views or it refuses them.

    Raises:
        ServerError: MLflow does not answer.
    """
    uri = tracking_uri(store)
    experiment = find_experiment(uri)
    number = experiment.id if experiment else "0"
    # Without `workflowType` the UI lists no runs.
    page = f"#/experiments/{number}?workflowType=machine_learning"
    if experiment is None or view is None or not understands_views(server_version(uri)):
        return page
    try:
        mode = refresh_views(experiment)[view].mode
    except Exception:  # each kind of artifact store raises its own
        return page
    return (
        f"#/experiments/{number}/runs?workflowType=machine_learning"
        f"&compareRunsMode={mode}&viewStateShareKey={share_key(view)}"
    )


def understands_views(version: str) -> bool:
    """Whether the UI of an MLflow version, such as `3.17.2`, understands our views."""
    numbers = version.split(".")[:2]
    first, end = _WITH_OUR_VIEWS
    return all(part.isdigit() for part in numbers) and first <= tuple(map(int, numbers)) < end
