"""Logs a run's generator to MLflow as a model that can be served."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from dcgan.export import served_generator
from dcgan.export.package_generator import best_or_last, package_generator
from dcgan.run_folder.trained_run import TrainedRun
from tracking.backends.local import read_run
from tracking.errors import UserError

_REQUIREMENTS = (
    "mlflow",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "pillow",
    "pydantic",
    "tomli-w",
)
"""What the served code imports, from the packages `dcgan` and `tracking` on."""


@dataclass(frozen=True)
class LoggedGenerator:
    """A generator that MLflow has as a model.

    Attributes:
        address: What `mlflow models serve --model-uri` takes.
        step: The training step of its checkpoint.
    """

    address: str
    step: int


def check_keeper(trackers: Sequence[str], option: str, needed: str) -> None:
    """Check that MLflow, which keeps the model, is among a run's trackers.

    Args:
        trackers: The backends besides the local journal.
        option: How the user has asked for a model, for the message.
        needed: What names MLflow as a tracker there.

    Raises:
        UserError: It is not.
    """
    if "mlflow" not in trackers:
        raise UserError(f"{option} needs {needed}, which keeps the model.")


def log_generator(folder: Path) -> LoggedGenerator:
    """Log the generator of a run that MLflow has: the best by evaluation, or else the last.

    Args:
        folder: The run's folder. A model of the same step that MLflow has already is not sent
            again.

    Raises:
        CheckpointError: The run has no checkpoint, or it is damaged.
        GenerationError: The generator makes no images.
        StoreError: MLflow does not have the run, or refuses the model.
    """
    from tracking.backends.mlflow import ServedModel, log_model

    run = TrainedRun.open(folder, best_or_last(folder))
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        package_generator(run, data)
        model = ServedModel(
            name="generator",
            step=run.step,
            data=data,
            loader=served_generator.__name__,
            code=(_folder("dcgan"), _folder("tracking")),
            # Without what follows a plus sign: a build such as +cpu is not on every index.
            requirements=tuple(
                f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS
            ),
            inputs={"seed": "long", "count": "long", "latents": "doubles"},
            outputs={"image": "string"},
            example={"seed": 0, "count": 4},
        )
        address = log_model(read_run(folder), folder.parent, model)
    return LoggedGenerator(address, run.step)


def _folder(package: str) -> Path:
    """Where a package lies; imported by name it would bring the whole API."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
