"""MLflow's client for a server, a sqlite file or a folder, with settings that suit a training."""

from __future__ import annotations

import os
import urllib.parse
from typing import TYPE_CHECKING

from tracking.backends.mlflow.address import database_file
from tracking.backends.mlflow.database import ensure_database
from tracking.errors import StoreError

if TYPE_CHECKING:
    import mlflow

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Give up a dead or silent server after 10 s; by MLflow's defaults it takes minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    # Output would disturb the progress bar of the training.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # errors that it logs with a traceback are also raised
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Without this, MLflow refuses a folder in MLFLOW_TRACKING_URI.
    "MLFLOW_ALLOW_FILE_STORE": "true",
}

_PROBE = "/version"
"""A page that a server answers with one line of text and without authentication."""


def connect(uri: str) -> mlflow.MlflowClient:
    """MLflow's client for an address; creates the sqlite file.

    Raises:
        StoreError: The server wants a user or sends us to another host, or the sqlite file is
            something else.
        MlflowException: The server does not answer.
    """
    set_defaults()
    from mlflow import MlflowClient

    if uri.startswith(("http://", "https://")):
        return MlflowClient(_where_it_answers(uri))
    if database := database_file(uri):
        ensure_database(database)
    return MlflowClient(uri)


def set_defaults() -> None:
    """Set the variables that MLflow reads at import; the user's own settings win."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def server_version(uri: str) -> str:
    """The version of the server, or of MLflow here for any other address; empty if unknown."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request
    from mlflow.version import VERSION

    if not uri.startswith(("http://", "https://")):
        return str(VERSION)
    try:
        answer = http_request(get_default_host_creds(uri), _PROBE, "GET")
    except MlflowException:
        return ""
    return str(answer.text).strip() if answer.ok else ""


def _where_it_answers(uri: str) -> str:
    """The server's address after redirections on the same host, such as to https.

    A redirection turns MLflow's own requests, which are POST, into GET.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    answer = http_request(get_default_host_creds(uri), _PROBE, "GET")
    address = str(answer.url).partition("?")[0]
    if answer.history and address.endswith(_PROBE):
        reached = address.removesuffix(_PROBE)
        # The password would be sent to another host.
        if urllib.parse.urlsplit(reached).hostname != urllib.parse.urlsplit(uri).hostname:
            raise StoreError(
                f"MLflow's server at {uri} has moved to {reached}. Set MLFLOW_TRACKING_URI to "
                "that address if it is yours."
            )
        return _where_it_answers(reached)  # may need credentials, which a redirection drops
    if answer.status_code in (401, 403):
        raise StoreError(
            f"MLflow's server at {uri} refuses the request ({answer.status_code}). Set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        )
    return uri
