"""Places that an MLflow server or a sqlite file names: none of them may be a file of mine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tracking.backends.mlflow.artifacts import (
    check_writable,
    downloaded,
    is_readable,
    list_files,
)
from tracking.errors import StoreError, StoreWarning

ELSEWHERE = "http://ada:password@mlflow.example.org:5000"
HERE = "http://127.0.0.1:5000"


class HostileServer(BaseHTTPRequestHandler):
    """Answers like MLflow's server; each run's id is the only artifact that it names."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path.endswith("/runs/get"):
            run = address.query.partition("run_id=")[2]
            root = f"mlflow-artifacts:/{run}"
            answer = {"run": {"info": {"run_id": run, "artifact_uri": root}, "data": {}}}
        elif address.path.endswith("/mlflow-artifacts/artifacts"):
            answer = {"files": [{"path": self.server.artifact, "is_dir": False}]}  # type: ignore[attr-defined]
        else:
            answer = {"evil": True}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), HostileServer)
    thread = threading.Thread(target=partial(server.serve_forever, 0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("artifact", ["../../evil.txt", "{outside}/evil.txt", "%2e%2e/evil.txt"])
def test_no_name_of_a_servers_artifact_leads_out(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifact: str
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    downloads = tmp_path / "a" / "b" / "c"
    downloads.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(downloads))
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    client = MlflowClient(f"http://127.0.0.1:{server.server_port}")
    server.artifact = artifact.format(outside=tmp_path)  # type: ignore[attr-defined]
    before = set(tmp_path.rglob("*"))
    with pytest.raises(MlflowException, match="Invalid path"):
        list(list_files(client, client.get_run("r1"), "io_files"))
    with pytest.raises(MlflowException), downloaded(client, "r1", server.artifact):  # type: ignore[attr-defined]
        pass
    assert set(tmp_path.rglob("*")) == before


def test_a_server_elsewhere_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    for root in (tmp_path.as_uri(), str(tmp_path), "runs:/0", "models:/m/1", "C:/Users"):
        with pytest.warns(StoreWarning, match=r"for mlflow\.example\.org to name"):
            assert not is_readable(ELSEWHERE, root, "mlruns/key.txt")
        with pytest.raises(StoreError, match="--serve-artifacts") as error:
            check_writable(ELSEWHERE, root)
        assert "password" not in str(error.value)
    for root in ("mlflow-artifacts:/1/r/artifacts", "s3://bucket/1", "http://example.org/a"):
        assert is_readable(ELSEWHERE, root, "key.txt")
        check_writable(ELSEWHERE, root)


def test_a_server_of_this_machine_names_folders_of_mlflow_alone(tmp_path: Path) -> None:
    artifacts = tmp_path / "mlruns" / "1"
    artifacts.mkdir(parents=True)
    (artifacts / "key.txt").symlink_to(tmp_path / "id_rsa")
    assert is_readable(HERE, artifacts.as_uri(), "recipe.toml")
    check_writable(HERE, artifacts.as_uri())
    for root, artifact in (
        (tmp_path.as_uri(), "id_rsa"),
        (artifacts.as_uri(), "../../id_rsa"),
        (artifacts.as_uri(), "key.txt"),
    ):
        with pytest.warns(StoreWarning, match="is left out"):
            assert not is_readable(HERE, root, artifact)


def test_a_sqlite_file_names_what_is_beside_it_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "artifacts").mkdir(parents=True)
    (store / "artifacts" / "key.txt").symlink_to(tmp_path / "id_rsa")
    uri = f"sqlite:///{store}/mlflow.db"
    assert is_readable(uri, (store / "artifacts").as_uri(), "recipe.toml")
    assert is_readable(uri, "s3://bucket/1", "recipe.toml")
    for root, artifact in (
        (tmp_path.as_uri(), "id_rsa"),
        ((store / "artifacts").as_uri(), "../../id_rsa"),
        ((store / "artifacts").as_uri(), "key.txt"),
        ("runs:/other/artifacts", "recipe.toml"),
    ):
        with pytest.warns(StoreWarning, match="is left out"):
            assert not is_readable(uri, root, artifact)


@pytest.mark.parametrize("uri", ["sqlite:////srv/mlflow.db", "postgresql://db/mlflow", "mlruns"])
def test_a_servers_database_read_without_it_is_told_to_be_one(uri: str) -> None:
    """MLflow's own words for this speak of a tracking URI that was not set."""
    client = SimpleNamespace(tracking_uri=uri)
    run = SimpleNamespace(info=SimpleNamespace(artifact_uri="mlflow-artifacts:/1/r/artifacts"))
    with pytest.raises(StoreError, match="name the server's address instead"):
        list(list_files(client, run, ""))  # type: ignore[arg-type]
