"""Logs a trained network as an MLflow model, which `mlflow models serve` can load."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from tracking.backends.mlflow.address import tracking_uri
from tracking.backends.mlflow.experiment import Experiment, find_experiment
from tracking.errors import StoreError
from tracking.tracker import Run

if TYPE_CHECKING:
    import mlflow.entities
    from mlflow.models import ModelSignature

ColumnType: TypeAlias = Literal["long", "string", "doubles"]


@dataclass(frozen=True)
class ServedModel:
    """A model in a folder, and the code that answers requests with it.

    Attributes:
        name: The name in MLflow's list.
        step: The training step.
        data: The folder; MLflow copies it.
        loader: The module whose `_load_pyfunc` loads the folder.
        code: The folders of our packages that the module needs.
        requirements: The packages that pip installs to serve it.
        inputs: The columns of a request by name; all are optional.
        outputs: The columns of an answer by name.
        example: A request, one row.
    """

    name: str
    step: int
    data: Path
    loader: str
    code: Sequence[Path]
    requirements: Sequence[str]
    inputs: Mapping[str, ColumnType]
    outputs: Mapping[str, ColumnType]
    example: Mapping[str, float]


def log_model(run: Run, store: Path, model: ServedModel) -> str:
    """Log a model of a run that MLflow has, unless it has one of the same name and step.

    Args:
        run: The run.
        store: The store that tracks it.
        model: The model.

    Returns:
        The model's address, for `mlflow models serve --model-uri`.

    Raises:
        StoreError: MLflow does not have the run, or refuses the model.
    """
    experiment = find_experiment(tracking_uri(store))
    entry = experiment.find(run.id) if experiment else None
    if experiment is None or entry is None:
        raise StoreError(
            f"MLflow does not have the run {run.id}. Send it with: dcgan sync {run.id} --to mlflow"
        )
    from mlflow.exceptions import MlflowException

    try:
        return _logged(experiment, entry, model) or _log(experiment, entry, model)
    except MlflowException as error:
        if error.error_code == "ENDPOINT_NOT_FOUND":
            reason = "this server is too old for models, upgrade it to MLflow 3"
        else:
            reason = " ".join(str(error).split())[:300]
        raise StoreError(
            f"The model of the run {run.id} could not be logged to MLflow: {reason}"
        ) from error


def _logged(experiment: Experiment, entry: mlflow.entities.Run, model: ServedModel) -> str | None:
    """The address of the same model if an earlier call logged it completely."""
    for output in entry.outputs.model_outputs if entry.outputs else []:
        if output.step == model.step:
            logged = experiment.client.get_logged_model(output.model_id)
            if logged.name == model.name and logged.status == "READY":
                return f"models:/{output.model_id}"
    return None


def _log(experiment: Experiment, entry: mlflow.entities.Run, model: ServedModel) -> str:
    from mlflow.entities import LoggedModelOutput

    client, run_id = experiment.client, entry.info.run_id
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        # Built here and sent by our own client: MLflow's log_model would change the address
        # that MLflow uses in the whole process.
        _save(model, folder)
        logged = client.create_logged_model(
            experiment.id, name=model.name, source_run_id=run_id, model_type="generator"
        )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=model.step)])
    return f"models:/{logged.model_id}"


def _save(model: ServedModel, folder: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=model.loader,
        data_path=str(model.data),
        code_paths=[str(path) for path in model.code],
        pip_requirements=list(model.requirements),
        signature=_signature(model),
        input_example=pd.DataFrame([dict(model.example)]),
    )


def _signature(model: ServedModel) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    types = {"long": DataType.long, "string": DataType.string, "doubles": Array(DataType.double)}

    def schema(columns: Mapping[str, ColumnType], *, required: bool) -> Schema:
        return Schema([ColSpec(types[kind], name, required) for name, kind in columns.items()])

    return ModelSignature(
        inputs=schema(model.inputs, required=False), outputs=schema(model.outputs, required=True)
    )
