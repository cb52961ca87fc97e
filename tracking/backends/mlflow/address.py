"""Where the runs of a store are kept: a server, or a sqlite file in the store."""

from __future__ import annotations

import os
import urllib.parse
import urllib.request
from pathlib import Path

DATABASE_FILE = "mlflow.db"
ARTIFACT_FOLDER = "mlflow-artifacts"


def tracking_uri(store: Path | str) -> str:
    """MLflow's address for a store: MLFLOW_TRACKING_URI if set, else the store's sqlite file.

    A string is an address already and is returned unchanged.
    """
    if isinstance(store, str):
        return store
    return os.environ.get("MLFLOW_TRACKING_URI") or database_uri(store / DATABASE_FILE)


def database_uri(file: Path) -> str:
    """The tracking URI of a sqlite file; the inverse of `database_file`."""
    path = file.absolute().as_posix()
    # SQLAlchemy decodes escapes in the path, and what follows a question mark are options.
    return f"sqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


def database_file(uri: str) -> Path | None:
    """The sqlite file that a tracking URI names; None for any other URI."""
    path = uri.removeprefix("sqlite:///")
    if path == uri:
        return None
    return Path(urllib.parse.unquote(path.partition("?")[0])).absolute()


def file_store(uri: str) -> Path | None:
    """The folder of MLflow's file store that a tracking URI names; None for any other URI."""
    address = urllib.parse.urlsplit(uri)
    if address.scheme not in ("", "file"):
        return None
    return Path(urllib.request.url2pathname(address.path)).absolute()


def local_folder(uri: str) -> Path | None:
    """The local folder in which the artifacts of a URI's runs must lie; None for servers."""
    database = database_file(uri)
    return database.parent if database else file_store(uri)
