"""Secrets are planted where a careless tracker finds them, and every store is searched for them."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from dcgan.run_folder.amend import amend
from tests.support.forked import fork_command
from tracking.backends import REMOTES
from tracking.backends.local import open_tracker, read_fields, run_folders
from tracking.events import Fields, Metrics, Text
from tracking.fanout import FanOut
from tracking.provenance import command_line
from tracking.redaction import make_redactor, redact_event
from tracking.store import rename_run, tag_run
from tracking.tracker import Run, Tracker

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_KEY", "k-5f2d8a9"),
        ("GH_PAT", "p-5f2d8a9"),
        ("DB_PWD", "w-5f2d8a9"),
        ("PGPASS", "g-5f2d8a9"),
        ("HTTP_AUTH", "h-5f2d8a9"),
    ],
)
def test_variables_whose_names_are_likely_secrets_are_cleaned(name: str, value: str) -> None:
    assert make_redactor({name: value})(f"x {value} y") == "x REDACTED y"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "PATH", "MONKEY", "SORT_KEY"])
def test_other_variables_are_not(name: str) -> None:
    assert make_redactor({name: "ascending"})("x ascending y") == "x ascending y"


BODY = "abcDEF123_-456ghiJKL789mno"


@pytest.mark.parametrize(
    "token",
    [
        "xoxb-123456789012-" + BODY,
        "sk-ant-api03-" + BODY,
        "AIzaSy" + BODY + "abcdef",
        "npm_abcdefghijABCDEFGHIJ0123456789abcdef",
        "glpat-a_b-" + BODY,
        "ghp_abcdefghijABCDEFGHIJ0123456789abcdef",
    ],
)
def test_tokens_are_known_by_their_form(token: str) -> None:
    assert make_redactor({})(f"x {token} y") == "x REDACTED y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://ada:pa/ss@host/x", "https://host/x"),
        ("https://ada:p@ss@host/x", "https://host/x"),
        ("https://host:5000/a@b", "https://host:5000/a@b"),
        ("ada:secret@host:path/x.git", "host:path/x.git"),
        ("git@host:path", "git@host:path"),
        ("https://host/x?private_token=abc&b=1", "https://host/x?private_token=REDACTED&b=1"),
    ],
)
def test_credentials_in_addresses_are_removed(text: str, clean: str) -> None:
    assert make_redactor({})(text) == clean


@pytest.mark.parametrize(
    "piece", ["token", "://", "a:", "a@", "?token", "eyJ", "sk-", "--password", "a1-", "=token"]
)
def test_no_text_takes_time_that_grows_with_its_square(piece: str) -> None:
    """64,000 characters took two minutes and more; now it is a fraction of a second."""
    text = piece * (64_000 // len(piece))
    began = time.process_time()
    make_redactor({})(text)
    command_line(["dcgan", text])
    assert time.process_time() - began < 20


def test_what_a_tracker_says_is_cleaned_wherever_it_goes(tmp_path: Path) -> None:
    def refuse() -> Tracker:
        raise ConnectionError("no answer from http://ada:S3cretPassw0rd@127.0.0.1:9/api")

    said: list[str] = []
    journal = open_tracker(Run("a-run", "a run", 1), tmp_path)
    fan_out = FanOut(journal, {"mlflow": refuse}, list, said.append)
    fan_out.close("finished")
    assert "no answer from http://127.0.0.1:9/api" in said[0]
    assert "incomplete" in str(read_fields(tmp_path / "a-run")["sys/trackers/mlflow"])
    assert places(tmp_path, "S3cretPassw0rd") == []


def test_tags_and_names_that_are_given_later_are_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tok-5f2d8a")
    folder = tmp_path / "a-run"
    open_tracker(Run("a-run", "a run", 1), tmp_path).close("finished")
    assert tag_run(folder, ["tok-5f2d8a"], []) == ["REDACTED"]
    assert rename_run(folder, "https://ada:tok-5f2d8a@h/") == "https://h/"
    amend(folder, [Fields({"sys/note": "tok-5f2d8a"})])
    assert places(tmp_path, "tok-5f2d8a") == []
    assert command_line(["dcgan", "report", "--from", "http://ada:x@h"]) == (
        "dcgan report --from http://h"
    )
