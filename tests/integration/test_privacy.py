"""Secrets are planted where a careless tracker finds them, and every store is searched for them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests.support.forked import fork_command
from tracking.backends import REMOTES
from tracking.backends.local import read_fields, run_folders
from tracking.events import Fields, Metrics, Text
from tracking.redaction import make_redactor, redact_event

ACCOUNT = {"api_address": "http://127.0.0.1:9", "api_url": "http://127.0.0.1:9", "api_key": "k1"}
SECRETS = {
    "NEPTUNE_API_TOKEN": base64.b64encode(json.dumps(ACCOUNT).encode()).decode(),
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCY",
    "MLFLOW_TRACKING_PASSWORD": "correct-horse-battery",
    "MY_SERVICE_TOKEN": "tok-5f2d8a",
    "DATABASE_PASSWD": "hunter22",
}
PLAIN = "the value of a variable that is no secret by its name, but nobody's business"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was tracked everywhere from a home directory full of secrets."""
    folder = tmp_path_factory.mktemp("private")
    home = folder / "home" / "ada-lovelace"
    faces = home / "faces"
    faces.mkdir(parents=True)
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(faces / f"{number}.png")
    command = ["train", "celeba", "--data", str(faces)]
    command += ["--epochs", "1", "--batch-size", "20", "--store", str(folder / "store")]
    command += ["--tag", SECRETS["MY_SERVICE_TOKEN"], "--name", f"of {home}"]
    for setting in ("dataset.image_size=32", "network.generator_features=4",
                    "network.discriminator_features=4", "images.every_steps=1"):  # fmt: skip
        command += ["--set", setting]
    for remote in REMOTES:
        command += ["--tracker", remote]
    environment = SECRETS | {
        "HOME": str(home), "INNOCENT": PLAIN, "DCGAN_CACHE": str(home / "cache"),
        "MLFLOW_TRACKING_USERNAME": "ada-lovelace", "MPLCONFIGDIR": str(home / "mpl"),
    }  # fmt: skip
    training = fork_command(*command, folder=folder, **environment)
    output = training.communicate(timeout=300)
    assert training.returncode == 0, output
    return folder / "store"


def test_all_stores_took_the_run(store: Path) -> None:
    (run,) = run_folders(store)
    fields = read_fields(run)
    assert [fields[f"sys/trackers/{remote}"] for remote in REMOTES] == ["complete"] * len(REMOTES)
    assert (store / "mlflow.db").stat().st_size
    assert list((store / "neptune").rglob("data-*.log"))
    assert list((store / "tensorboard").rglob("events*"))


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_of_the_environment_is_in_any_store(store: Path, name: str) -> None:
    assert places(store, SECRETS[name]) == []


def test_no_other_variable_is_in_any_store(store: Path) -> None:
    assert places(store, PLAIN) == []


def test_the_home_directory_is_in_no_store(store: Path) -> None:
    assert places(store, "ada-lovelace") == []
    (run,) = run_folders(store)
    fields = read_fields(run)
    assert fields["config/dataset/path"] == "~/faces"
    assert fields["sys/name"] == "of ~"
    assert fields["sys/tags"] == ["REDACTED"]


def places(store: Path, secret: str) -> list[str]:
    """The files in which a text stands, as it is or in base64."""
    coded = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    needles = [secret.encode(), coded.encode(), json.dumps(secret)[1:-1].encode()]
    return [
        str(file.relative_to(store))
        for file in store.rglob("*")
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    ]


def test_a_text_keeps_all_that_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    clean = make_redactor({"A_TOKEN": "tok-5f2d8a", "SHORT_TOKEN": "a", "PATH": "/usr/bin"})
    assert clean("a text with /usr/bin and a") == "a text with /usr/bin and a"
    assert clean("x tok-5f2d8a y") == "x REDACTED y"
    assert clean("/home/ada/faces /home/adam /x/home/ada") == "~/faces /home/adam /x/home/ada"
    assert clean("https://ada:secret@host/x") == "https://host/x"
    commit = "1527707d3f9c2a1b5e4d6c7b8a9f0e1d2c3b4a59"
    assert clean(f"{commit} sha256:{commit}{commit}") == f"{commit} sha256:{commit}{commit}"


def test_every_text_of_an_event_is_cleaned() -> None:
    def shout(text: str) -> str:
        return text.upper()

    fields = Fields({"a": "b", "c": ["d", 1, None], "e": 2.5, "f": True})
    assert redact_event(fields, shout) == Fields(
        {"a": "B", "c": ["D", 1, None], "e": 2.5, "f": True}
    )
    assert redact_event(Text("p", "q"), shout) == Text("p", "Q")
    metrics = Metrics([1], [2], {"a": [3.0]})
    assert redact_event(metrics, shout) is metrics
