"""`dcgan ui`: the right runs at the printed address, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support.dcgan_ui import UserInterface, dcgan_ui
from tests.support.refusal import error_of
from tracking.backends.mlflow import open_tracker
from tracking.errors import ServerError
from tracking.events import Fields
from tracking.mlflow_server import Server
from tracking.tracker import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run in MLflow."""
    folder = tmp_path_factory.mktemp("ui") / "runs"
    tracker = open_tracker(Run("digits-abc234", "the only run", 1_700_000_000_000), folder)
    tracker.write(Fields({"config/seed": 1}))
    tracker.close("finished")
    return folder


@pytest.fixture(scope="module")
def interface(store: Path) -> Iterator[UserInterface]:
    """`dcgan ui` on that store, which the last test that uses it ends."""
    with dcgan_ui(store) as running:
        yield running


def refused(*arguments: str) -> str:
    """What `dcgan ui` says when it ends with an error."""
    return error_of(CliRunner().invoke(app, ["ui", *arguments], env={"COLUMNS": "120"}))


def names_of_runs(address: str) -> list[str]:
    """The runs of the experiment that the address opens, asked of the server there."""
    experiment = re.fullmatch(
        r"/experiments/(\d+)/runs\?workflowType=machine_learning&compareRunsMode=CHART"
        r"&viewStateShareKey=dcgan-compare",
        urlsplit(address).fragment,
    )
    assert experiment
    request = urllib.request.Request(
        f"http://{urlsplit(address).netloc}/api/2.0/mlflow/runs/search",
        json.dumps({"experiment_ids": [experiment[1]]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return [run["info"]["run_name"] for run in json.load(answer)["runs"]]


def test_a_server_of_the_users_own_is_not_started_again(
    interface: UserInterface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = urlsplit(interface.address)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{page.netloc}")
    result = CliRunner().invoke(app, ["ui", "--store", str(tmp_path)], env={"COLUMNS": "20"})
    assert result.exit_code == 0, result.output
    assert interface.address in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_printed_address_opens_the_runs_and_ctrl_c_ends_all(interface: UserInterface):
    assert_it_serves_until(signal.SIGINT, interface, status=0, telemetry_is_off="true")


def test_sigterm_ends_all_too_and_what_the_user_asks_of_mlflow_is_passed_on(store: Path):
    # The test itself asks that nothing is sent.
    asked = {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": "1"}
    with dcgan_ui(store, **asked) as interface:
        assert_it_serves_until(signal.SIGTERM, interface, status=143, telemetry_is_off="false")


def assert_it_serves_until(
    ending: signal.Signals, interface: UserInterface, *, status: int, telemetry_is_off: str
) -> None:
    assert names_of_runs(interface.address) == ["the only run"]
    servers = interface.servers()
    assert servers
    for server in servers:
        assert server.environ()["MLFLOW_DISABLE_TELEMETRY"] == telemetry_is_off
    for connection in servers[-1].net_connections("tcp"):
        assert connection.laddr.ip == "127.0.0.1"

    interface.process.send_signal(ending)
    assert interface.process.wait(timeout=120) == status
    _, alive = psutil.wait_procs(servers, timeout=20)
    assert not alive


def test_a_port_in_use_is_told_and_nobody_elses_page_is_shown(store: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        message = refused("--port", port, "--store", str(store))
    assert f"Port {port} cannot be used: Address already in use." in message
    assert "--port" in message


def test_a_database_without_runs_is_told_by_its_own_folder(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/other.db")
    message = refused("--store", str(store)).replace(" ", "")
    assert f"Norunin{elsewhere}wastrackedtoMLflow." in message
    assert not elsewhere.exists()


def test_a_server_of_the_users_own_that_is_down_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert f"MLflow does not answer at {address}" in refused("--store", str(tmp_path))


def test_a_server_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("out of memory\n")
    ended = subprocess.Popen([sys.executable, "-c", ""], env=dict(os.environ))
    with pytest.raises(ServerError, match="ended by itself:\nout of memory"):
        Server("http://127.0.0.1:1", ended, log).wait()
