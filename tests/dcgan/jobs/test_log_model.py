"""A generator logged as an MLflow model and served on loopback answers as `dcgan sample` does."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import load_config
from dcgan.export.package_generator import best_or_last
from dcgan.export.served_generator import RequestError, ServedGenerator
from dcgan.models import build_networks
from dcgan.run_folder import CHECKPOINT_DIR
from dcgan.sampling import draw_latents, seeded_batches
from dcgan.training.checkpoint import mark_best
from tests.dcgan.conftest import SMALL
from tests.support.command import dcgan
from tests.support.mlflow_process import free_port
from tracking.backends import mlflow as backend
from tracking.backends.local import run_folders
from tracking.backends.mlflow.experiment import find_experiment
from tracking.events import GRID_PADDING

SETTINGS = [part for setting in SMALL if "epochs" not in setting for part in ("--set", setting)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run, whose generator was logged at its end."""
    folder = tmp_path_factory.mktemp("model") / "runs"
    tracked = ("--tracker", "mlflow", "--log-model", "--store", str(folder))
    output = dcgan("train", "--steps", "9", *SETTINGS, *tracked)
    assert re.search(r"model       models:/m-\w+ of step 9", output), output
    return folder


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[str]:
    """The address at which MLflow's scoring server answers for the model, on this machine."""
    import mlflow.pyfunc
    import uvicorn
    from mlflow.pyfunc import scoring_server

    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])  # loading a model puts its code there
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        model = mlflow.pyfunc.load_model(str(artifacts(store)))
        config = uvicorn.Config(scoring_server.init(model), port=port, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            server.should_exit = True
            thread.join()


def artifacts(store: Path) -> Path:
    """The folder of the only model."""
    [model] = (store / backend.ARTIFACT_FOLDER / "models").iterdir()
    return model / "artifacts"


def ask(address: str, *rows: dict[str, Any]) -> list[npt.NDArray[np.uint8]]:
    """The images with which the server answers."""
    request = urllib.request.Request(
        address,
        json.dumps({"dataframe_records": rows}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [pixels(row["image"]) for row in json.load(answer)["predictions"]]


def pixels(text: str) -> npt.NDArray[np.uint8]:
    with PIL.Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


def sampled(store: Path, tmp_path: Path, count: int, seed: int) -> list[npt.NDArray[np.uint8]]:
    """The images of `dcgan sample`, cut out of its grid."""
    file = tmp_path / "grid.png"
    dcgan("sample", "-n", str(count), "--seed", str(seed), "-o", str(file), "--store", str(store))
    with PIL.Image.open(file) as picture:
        grid = np.asarray(picture)
    side, columns = 32 + GRID_PADDING, round(count**0.5)
    corners = [
        (GRID_PADDING + side * (i // columns), GRID_PADDING + side * (i % columns))
        for i in range(count)
    ]
    return [grid[top : top + 32, left : left + 32] for top, left in corners]


def test_the_served_images_are_those_of_dcgan_sample(
    served: str, store: Path, tmp_path: Path
) -> None:
    expected = sampled(store, tmp_path, count=4, seed=3)
    answered = ask(served, {"seed": 3, "count": 4})
    assert len(answered) == 4
    for image, other in zip(answered, expected, strict=True):
        np.testing.assert_array_equal(image, other)


def test_latents_make_the_same_images_as_their_seed(served: str, store: Path) -> None:
    config = load_config(str(artifacts(store) / "data/data/recipe.toml"), [])
    latents = draw_latents(2, config.network, torch.Generator().manual_seed(5)).flatten(1).tolist()
    by_latents = ask(served, *({"latents": row} for row in latents))
    for image, other in zip(by_latents, ask(served, {"seed": 5, "count": 2}), strict=True):
        # Another batch size may round the last bit otherwise.
        assert np.abs(image.astype(int) - other.astype(int)).max() <= 1


def test_a_wrong_request_is_refused(served: str) -> None:
    for row in ({"count": 2}, {"seed": 0, "count": 0}, {"seed": "x"}, {"latents": [0.5]}):
        with pytest.raises(urllib.error.HTTPError) as told:
            ask(served, row)
        assert told.value.code == 400, row


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"count": 2}, "Give `seed` and `count`, or `latents`"),
        ({"seed": None}, "Give `seed` and `count`, or `latents`"),
        ({"seed": -1}, "`seed` must not be negative"),
        ({"seed": 0, "count": 0}, "`count` must be 1 or more"),
        ({"seed": 0, "count": 5_000}, "at most 4,096 images"),
        ({"latents": [0.5]}, "`latents` must be 8 finite numbers"),
        ({"latents": [float("nan")] * 8}, "`latents` must be 8 finite numbers"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(row: dict[str, Any], message: str) -> None:
    from dcgan.config.loading import parse_override

    config = load_config("digits", [parse_override(text) for text in SMALL])
    generator = ServedGenerator(config, build_networks(config, seed=0)[0])
    with pytest.raises(RequestError, match=message):
        generator.predict(pd.DataFrame([row]))


def test_a_seed_gives_the_images_of_dcgan_sample_for_any_count() -> None:
    """Of latents of 100 numbers, which are no multiple of those that PyTorch draws at a time."""
    config = load_config("digits", [])
    generator = ServedGenerator(config, nn.Flatten())
    expected = torch.cat(list(seeded_batches(70, config.network, seed=3)))
    for count in (1, 3, 64, 70):
        assert torch.equal(generator._latents({"seed": 3, "count": count}), expected[:count])


def test_the_model_describes_itself_and_belongs_to_its_run(store: Path) -> None:
    import mlflow.models

    experiment = find_experiment(backend.tracking_uri(store))
    [folder] = run_folders(store)
    assert experiment is not None
    run = experiment.find(folder.name)
    assert run is not None
    [output] = run.outputs.model_outputs
    logged = experiment.client.get_logged_model(output.model_id)
    assert (logged.name, logged.status, logged.source_run_id) == (
        "generator",
        "READY",
        run.info.run_id,
    )
    assert output.step == 9

    model = mlflow.models.Model.load(str(artifacts(store)))
    assert [column.name for column in model.signature.inputs] == ["seed", "count", "latents"]
    example = model.load_input_example(str(artifacts(store)))
    assert example.to_dict("records") == [{"seed": 0, "count": 4}]
    requirements = (artifacts(store) / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in requirements} >= {
        "torch",
        "torchvision",
        "pydantic",
    }
    assert not any("+" in line for line in requirements)
    with PIL.Image.open(artifacts(store) / "data/data/grid.png") as grid:
        assert grid.width > 8 * 32
    assert (artifacts(store) / "code/dcgan/export/served_generator.py").exists()


def test_the_best_generator_is_logged_if_the_run_was_evaluated(tmp_path: Path) -> None:
    folder = tmp_path / CHECKPOINT_DIR
    folder.mkdir()
    for step in (10, 20):
        (folder / f"step-{step:08d}.pt").touch()
    assert best_or_last(tmp_path) == "last"
    mark_best(folder / "step-00000010.pt")
    assert best_or_last(tmp_path) == "best"


def test_a_second_call_sends_nothing_twice(store: Path) -> None:
    model = artifacts(store).parent.name
    assert f"models:/{model} of step 9" in dcgan(
        "sync", "--to", "mlflow", "--model", "--store", str(store)
    )
    artifacts(store)  # still the only one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--log-model"), "--log-model needs --tracker mlflow"),
        (("sync", "--to", "tensorboard", "--model"), "--model needs --to mlflow"),
    ],
)
def test_only_mlflow_keeps_models(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    command = [*arguments, "--store", str(tmp_path)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_logged_leaves_a_finished_run_and_says_how_to_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

    def missing(*_: object, **__: object) -> None:
        raise MlflowException("404 != 200", error_code=ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(MlflowClient, "create_logged_model", missing)
    output = dcgan(
        "train", "--steps", "3", *SETTINGS,
        "--tracker", "mlflow", "--log-model", "--store", str(tmp_path),
    )  # fmt: skip
    [folder] = run_folders(tmp_path)
    assert "this server is too old for models" in output
    assert f"dcgan sync {folder.name} --to mlflow --model --store {tmp_path}" in output
