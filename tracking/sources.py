"""Where runs can be read from, and which backend reads what lies there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracking.errors import StoreError

_LOOKS = {
    "local": "*/run.json",
    "mlflow": "mlflow.db",
    "neptune": "neptune/offline/run__*",
    "tensorboard": "tensorboard/*/events*",
    "neptune_export": "**/*_part_0.parquet",
}
"""What a store holds that a backend reads; of several the first, a journal before its copies."""

_OWN_FOLDERS = ("neptune", "tensorboard")
_DATABASES = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class RunSource:
    """backend: the one that reads it. at: a store, or for MLflow also an address."""

    backend: str
    at: Path | str


def resolve_source(place: str | Path | RunSource) -> RunSource:
    """Find out what reads the runs that lie somewhere.

    place: a store; the folder of Neptune or TensorBoard in one; an export of Neptune; a sqlite
    file of MLflow; an address of MLflow, with `://`. A `Place` is held to its backend.
    Raises StoreError where nothing of the kind is there.
    """
    backends = list(_LOOKS)
    at = place
    if isinstance(place, RunSource):
        backends, at = [place.backend], place.at
        if place.backend not in _LOOKS:
            raise StoreError(
                f"There is no backend {place.backend!r} to read {place.at}.\n"
                f"There are: {', '.join(_LOOKS)}."
            )
    if isinstance(at, str) and "://" in at and "mlflow" in backends:
        return RunSource("mlflow", at)
    path = Path(str(at))
    if path.is_file() and path.suffix in _DATABASES and "mlflow" in backends:
        return RunSource("mlflow", _address(path))
    for backend in backends:
        if found := _find(path, backend):
            return found
    looks = "\n".join(f"  {_LOOKS[backend]}  ({backend})" for backend in backends)
    raise StoreError(
        f"There are no runs in {path}{'' if path.exists() else ', which does not exist'}. "
        f"Looked for:\n{looks}\n"
        "MLflow's runs are also read from an address, such as http://localhost:5000."
    )


def _find(path: Path, backend: str) -> RunSource | None:
    store = path.absolute().parent if path.name == backend in _OWN_FOLDERS else path
    for each in dict.fromkeys((path, store)):
        if found := next(each.glob(_LOOKS[backend]), None):
            return RunSource(backend, _address(found) if backend == "mlflow" else each)
    return None


def _address(file: Path) -> str:
    """The address of the file itself, whatever the environment says."""
    return f"sqlite:///{file.absolute().as_posix()}"
