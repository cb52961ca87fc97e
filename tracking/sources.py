"""Where runs can be read from, and which backend reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracking.errors import StoreError
from tracking.plugins import installed_plugins

NEPTUNE_RUNS = "*neptune/offline/run__*"
"""Relative to a store; the client's own folder is `.neptune` if nothing else is set."""

_PATTERNS = {
    "local": "*/run.json",
    "mlflow": "mlflow.db",
    "neptune": NEPTUNE_RUNS,
    "tensorboard": "tensorboard/*/events*",
    "wandb": "wandb/*run-*/run-*.wandb",
    "neptune_export": "**/*_part_0.parquet",
}
"""Backend -> the pattern of files that its runs have; the first match wins."""

OWN_FOLDERS = ("neptune", "tensorboard", "wandb")
"""Folders within a store that users may give instead of the store."""

_DATABASES = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class RunSource:
    """The location of runs, and the backend that reads them.

    Attributes:
        backend: The name of the backend.
        location: A store, or for MLflow also an address.
    """

    backend: str
    location: Path | str


def resolve_source(source: str | Path | RunSource) -> RunSource:
    """Find out which backend reads the runs at a location.

    The location is a store; the folder of Neptune or TensorBoard in a store; an export of
    Neptune; a sqlite file of MLflow; or an address of MLflow, with `://`. A `RunSource` is read
    by its own backend only. Raises StoreError if there are no runs.
    """
    backends, location = list(_PATTERNS), source
    if isinstance(source, RunSource):
        backends, location = [source.backend], source.location
        if source.backend not in _PATTERNS:
            plugins = installed_plugins()
            if source.backend in plugins:  # only the plugin knows where its runs are
                return source
            raise StoreError(
                f"There is no backend {source.backend!r} to read {source.location}.\n"
                f"There are: {', '.join([*_PATTERNS, *plugins])}."
            )
    if isinstance(location, str) and "://" in location and "mlflow" in backends:
        return RunSource("mlflow", location)
    path = Path(str(location)).expanduser()
    if path.is_file() and path.suffix in _DATABASES and "mlflow" in backends:
        return RunSource("mlflow", _address(path))
    for backend in backends:
        if match := _find(path, backend):
            return match
    patterns = "\n".join(f"  {_PATTERNS[backend]}  ({backend})" for backend in backends)
    raise StoreError(
        f"There are no runs in {path}{'' if path.exists() else ', which does not exist'}. "
        f"Looked for:\n{patterns}\n"
        "MLflow's runs can also be read from an address, such as http://localhost:5000.\n"
        "Start a first run with: dcgan train"
    )


def _find(path: Path, backend: str) -> RunSource | None:
    """The store at `path`, or above it if all of its runs of this backend are below `path`."""
    absolute = path.absolute()
    above = absolute.parents[:2] if backend in OWN_FOLDERS else ()
    for folder in (path, *above):
        files = list(folder.glob(_PATTERNS[backend]))
        if files and (folder == path or all(file.is_relative_to(absolute) for file in files)):
            return RunSource(backend, _address(files[0]) if backend == "mlflow" else folder)
    return None


def _address(file: Path) -> str:
    """The address of the file itself, whatever MLFLOW_TRACKING_URI names."""
    from tracking.backends.mlflow.address import database_uri

    return database_uri(file)
