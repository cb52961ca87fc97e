"""The artifacts of a run: texts, files, and the pictures of its image series."""

from __future__ import annotations

import contextlib
import re
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.backends.mlflow.address import ARTIFACT_FOLDER, local_folder
from tracking.backends.mlflow.names import from_mlflow
from tracking.errors import StoreError, warn
from tracking.events import IMAGES

if TYPE_CHECKING:
    import mlflow
    import mlflow.entities
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

# MLflow writes each picture before its thumbnail: if the thumbnail exists, both are complete.
_THUMBNAIL = re.compile(
    r"(?P<picture>.*/(?P<key>[^+]+)\+step\+(?P<step>\d+)\+timestamp\+(?P<time>\d+)\+.*)"
    r"\+compressed\.webp"
)

_FOLDERS = {ARTIFACT_FOLDER, "mlartifacts", "mlruns"}


@dataclass(frozen=True)
class Picture:
    """A picture that MLflow has received completely.

    Attributes:
        path: The path of its image series.
        step: The training step.
        time: Milliseconds since the Unix epoch.
        artifact: The artifact that is its PNG file.
    """

    path: str
    step: int
    time: int
    artifact: str


def is_readable(uri: str, root: str, artifact: str) -> bool:
    """Whether an artifact may be read; warns if it may not.

    A copied store or a server can name any file of this machine. So a local artifact must lie
    below the store's folder, or, for a server on this machine, in a folder with one of MLflow's
    names.

    Args:
        uri: The address of the sqlite file, the folder of files or the server.
        root: The address of the run's artifacts.
        artifact: The artifact's path below it.
    """
    address = urllib.parse.urlsplit(root)
    if not _is_on_this_machine(address.scheme):
        return True
    file = Path(urllib.request.url2pathname(address.path), artifact)
    folder = local_folder(uri)
    if address.scheme in ("", "file"):
        if folder is not None and file.resolve().is_relative_to(folder.resolve()):
            return True
        if folder is None and _is_local(uri) and _FOLDERS & set(file.resolve().parts):
            return True
    place = f"in {folder}" if folder else f"for {_host(uri)} to name"
    warn(f"{file} is left out: it is not {place}.")
    return False


def check_writable(uri: str, root: str) -> None:
    """Raise StoreError if a remote server tells us to write to a local folder.

    Args:
        uri: The address of the sqlite file, the folder of files or the server.
        root: The address of a run's artifacts.
    """
    if local_folder(uri) or _is_local(uri):
        return
    if _is_on_this_machine(urllib.parse.urlsplit(root).scheme):
        raise StoreError(
            f"The server {_host(uri)} keeps artifacts at {root}, which is a "
            "folder of the client's machine.\nStart it with --serve-artifacts, "
            "which is MLflow's default."
        )


def _is_on_this_machine(scheme: str) -> bool:
    """Whether MLflow treats the scheme as local, or as that of a run, which may be local."""
    return scheme in ("", "file", "runs", "models") or len(scheme) == 1  # a Windows drive letter


def _is_behind_server(uri: str, root: str) -> bool:
    """Whether a run's artifacts are those of a server, while its store is read without one."""
    is_server = urllib.parse.urlsplit(uri).scheme in ("http", "https")
    return urllib.parse.urlsplit(root).scheme == "mlflow-artifacts" and not is_server


def _is_local(uri: str) -> bool:
    return urllib.parse.urlsplit(uri).hostname in ("localhost", "127.0.0.1", "::1")


def _host(uri: str) -> str:
    return urllib.parse.urlsplit(uri).hostname or uri


def list_files(client: mlflow.MlflowClient, run: mlflow.entities.Run, folder: str) -> Iterator[str]:
    """The artifacts below a folder, without the folders themselves.

    Args:
        client: The client that reaches the run.
        run: MLflow's entry for the run.
        folder: A folder of the run's artifacts; the empty string for all.

    Raises:
        StoreError: The run is read from the database of a server, which alone knows the files.
    """
    if _is_behind_server(client.tracking_uri, run.info.artifact_uri):
        raise StoreError(
            "This store is that of an MLflow server, which alone can read the files of its runs: "
            "name the server's address instead, such as http://localhost:5000."
        )
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # The client's own `list_artifacts` asks a server four times for each folder: twice for the
    # run, and for models of the folder's name.
    artifacts = get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
    yield from _files_below(artifacts, folder)


def _files_below(artifacts: ArtifactRepository, folder: str) -> Iterator[str]:
    for entry in artifacts.list_artifacts(folder):
        if entry.is_dir:
            yield from _files_below(artifacts, entry.path)
        else:
            yield entry.path


def list_pictures(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> Iterator[Picture]:
    """The pictures of a run in the order of their artifacts' names."""
    for artifact in sorted(list_files(client, run, IMAGES)):
        if match := _THUMBNAIL.fullmatch(artifact):
            yield Picture(
                path=from_mlflow(match["key"].replace("~", "/")),  # as MLflow writes it there
                step=int(match["step"]),
                time=int(match["time"]),
                artifact=f"{match['picture']}.png",
            )


@contextlib.contextmanager
def downloaded(client: mlflow.MlflowClient, run_id: str, artifact: str) -> Iterator[Path]:
    """Download an artifact to a file that is deleted when the context ends.

    Args:
        client: The client that reaches the run.
        run_id: MLflow's own id of the run.
        artifact: The artifact's path.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield Path(client.download_artifacts(run_id, artifact, folder))
