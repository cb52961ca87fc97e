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
"""What a folder holds that a backend reads; of several the first, a journal before its copies."""


@dataclass(frozen=True)
class Place:
    """backend: the one that reads it. at: a folder, or for MLflow also an address."""

    backend: str
    at: Path | str


def find_place(text: str | Path) -> Place:
    """Find out what reads the runs at a folder, a sqlite file of MLflow, or an address.

    Raises StoreError where there is nothing that can be read.
    """
    if isinstance(text, str) and "://" in text:
        return Place("mlflow", text)
    path = Path(text)
    if path.is_file() and path.suffix in (".db", ".sqlite"):
        return Place("mlflow", _sqlite(path))
    for backend, pattern in _LOOKS.items():
        if (found := next(path.glob(pattern), None)) is not None:
            return Place(backend, _sqlite(found) if backend == "mlflow" else path)
    raise StoreError(
        f"There are no runs in {path}.\n"
        "It should be a store of this program, MLflow's sqlite file or address, a folder with "
        "offline runs\nof Neptune in neptune/offline, an export of Neptune, or a folder with "
        "runs of TensorBoard in tensorboard/."
    )


def _sqlite(file: Path) -> str:
    """The address of the file itself, whatever the environment says."""
    return f"sqlite:///{file.absolute().as_posix()}"
