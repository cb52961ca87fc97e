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
"""Packages that the served code imports, directly or through `dcgan` and `tracking`."""


@dataclass(frozen=True)
class LoggedGenerator:
    """A generator that was logged to MLflow as a model.

    Attributes:
        address: What `mlflow models serve --model-uri` takes.
        step: The training step of its checkpoint.
    """

    address: str
    step: int


def require_mlflow(trackers: Sequence[str], option: str, remedy: str) -> None:
    """Check that MLflow, which stores the model, is among a run's trackers.

    Args:
        trackers: The backends besides the local journal.
        option: The option by which the user asked for a model, for the message.
        remedy: The option that adds MLflow as a tracker, for the message.

    Raises:
        UserError: It is not.
    """
    if "mlflow" not in trackers:
        raise UserError(f"{option} needs {remedy}, which keeps the model.")


def log_generator(folder: Path) -> LoggedGenerator:
    """Log a run's generator, the best by evaluation or else the last, with its run in MLflow.

    Args:
        folder: The run's folder. If MLflow already has a model of this step, none is sent.

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
    """The folder of a package, found without importing it, which would load the whole API."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
