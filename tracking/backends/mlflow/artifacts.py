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

from tracking.backends.mlflow.names import from_mlflow
from tracking.errors import warn
from tracking.events import IMAGES

if TYPE_CHECKING:
    import mlflow

# MLflow writes each picture before its thumbnail: if the thumbnail exists, both are complete.
_THUMBNAIL = re.compile(
    r"(?P<picture>.*/(?P<key>[^+]+)\+step\+(?P<step>\d+)\+timestamp\+(?P<time>\d+)\+.*)"
    r"\+compressed\.webp"
)


@dataclass(frozen=True)
class Picture:
    """A picture that MLflow has completely.

    Attributes:
        path: The path of its series.
        step: The training step.
        time: Milliseconds since the Unix epoch.
        artifact: The artifact that is its PNG file.
    """

    path: str
    step: int
    time: int
    artifact: str


def is_readable(folder: Path | None, root: str, artifact: str) -> bool:
    """Whether an artifact may be read; the others are told of.

    A store from elsewhere can name any file of this machine, so its artifacts must lie in its
    own folder.

    Args:
        folder: The folder of the store that names the artifact; None for a server.
        root: The address of the run's artifacts.
        artifact: The artifact's path below it.
    """
    address = urllib.parse.urlsplit(root)
    if folder is None or address.scheme not in ("", "file"):
        return True
    file = Path(urllib.request.url2pathname(address.path), artifact)
    if file.resolve().is_relative_to(folder.resolve()):
        return True
    warn(f"{artifact} is left out: {file} is not in {folder}.")
    return False


def list_files(client: mlflow.MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    """The artifacts below a folder, without the folders themselves.

    Args:
        client: The client that reaches the run.
        run_id: MLflow's own id of the run.
        folder: A folder of the run's artifacts.
    """
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from list_files(client, run_id, entry.path)
        else:
            yield entry.path


def list_pictures(client: mlflow.MlflowClient, run_id: str) -> Iterator[Picture]:
    """The pictures of a run, by MLflow's own id, in the order of their artifacts' names."""
    for artifact in sorted(list_files(client, run_id, IMAGES)):
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
