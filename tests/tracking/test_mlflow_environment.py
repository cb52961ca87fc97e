"""The backend takes MLflow's own environment variables as MLflow's users set them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tracking.backends import local
from tracking.backends import mlflow as backend
from tracking.backends.mlflow.database import ensure_database
from tracking.backends.mlflow.experiment import find_experiment
from tracking.errors import ServerError, StoreError, StoreWarning
from tracking.events import Fields
from tracking.sources import resolve_source
from tracking.testing.sample_run import RUN, assert_same_as_journal, whole_run, write
from tracking.tracker import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

FIELDS = Fields({"config/seed": 1, "sys/status": "running"})


def client_of(store: Path) -> MlflowClient:
    """MLflow's own client of the store's file, which is created."""
    from mlflow import MlflowClient

    ensure_database(store / backend.DATABASE_FILE)
    return MlflowClient(backend.tracking_uri(store))


def test_an_experiment_is_chosen_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = client_of(tmp_path).create_experiment("faces")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    write(backend.open_tracker(RUN, tmp_path), [FIELDS])
    assert list(backend.load_runs(tmp_path).index) == [RUN.id]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "faces")
    assert list(backend.load_runs(tmp_path).index) == [RUN.id]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "birds")
    with pytest.raises(StoreError, match=r"MLFLOW_EXPERIMENT_ID is 1, but .*'birds' is no"):
        backend.open_tracker(RUN, tmp_path)


@pytest.mark.parametrize("variable", ["MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"])
@pytest.mark.parametrize("identifier", ["77", "no such thing"])
def test_what_does_not_exist_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, identifier: str
) -> None:
    client_of(tmp_path)
    monkeypatch.setenv(variable, identifier)
    with pytest.raises(StoreError, match=f"{variable} is {identifier}, which MLflow does not have"):
        backend.open_tracker(RUN, tmp_path)


def test_the_run_of_mlflow_run_becomes_ours_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(tmp_path)
    begun = client.create_run(client.create_experiment("project"), run_name="a project's run")
    monkeypatch.setenv("MLFLOW_RUN_ID", begun.info.run_id)
    write(backend.open_tracker(RUN, tmp_path), [FIELDS])
    write(backend.open_tracker(RUN, tmp_path), [FIELDS])  # it is found again
    second = Run("digits-xyz789", "another", RUN.created + 1)
    write(backend.open_tracker(second, tmp_path), [FIELDS])

    ours = client.get_run(begun.info.run_id)
    assert (ours.data.tags["sys/id"], ours.info.status) == (RUN.id, "FINISHED")
    assert list(backend.load_runs(tmp_path).index) == [RUN.id, second.id]
    assert len(client.search_runs([begun.info.experiment_id])) == 2


def test_a_deleted_run_and_a_deleted_experiment_are_told_with_their_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(tmp_path)
    number = client.create_experiment("faces")
    monkeypatch.setenv("MLFLOW_RUN_ID", begun := client.create_run(number).info.run_id)
    client.delete_run(begun)
    with pytest.raises(StoreError, match=f"mlflow runs restore --run-id {begun}"):
        backend.open_tracker(RUN, tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    client.delete_experiment(number)
    address = f"MLFLOW_TRACKING_URI=sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(StoreError, match=f"{address} mlflow experiments restore") as told:
        backend.open_tracker(RUN, tmp_path)
    assert f"--experiment-id {number}" in str(told.value)


def test_a_folder_of_files_reads_back_as_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    assert backend.load_runs(tmp_path).empty
    assert not (tmp_path / "mlruns").exists(), "reading creates nothing"
    events = whole_run(tmp_path)
    for tracker in (backend.open_tracker(RUN, tmp_path), local.open_tracker(RUN, tmp_path)):
        write(tracker, events)
    assert_same_as_journal(backend, tmp_path)
    assert not (tmp_path / "mlflow.db").exists()


@dataclass
class Gate:
    """A server in front of MLflow's: it only answers who it is, or sends elsewhere.

    Attributes:
        address: Where it listens.
        moved_to: Where it sends everybody; None for nowhere.
        wants: The header `Authorization` that it lets through; None for any.
        seen: The methods and paths that it let through.
    """

    address: str = ""
    moved_to: str | None = None
    wants: str | None = None
    seen: list[str] = field(default_factory=list)


@contextmanager
def gate(**settings: str | None) -> Iterator[Gate]:
    """Serve on the loopback interface until the context ends."""
    opened = Gate(**settings)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if opened.moved_to:
                self._answer(302, b"", Location=f"{opened.moved_to}{self.path}")
            elif opened.wants and self.headers["Authorization"] != opened.wants:
                self._answer(401, b"You are not authenticated.")
            elif self.path == "/version":
                opened.seen.append("GET /version")
                self._answer(200, b"3.17.2")
            else:
                opened.seen.append(f"{self.command} {self.path.partition('?')[0]}")
                self._answer(404, json.dumps({"error_code": "ENDPOINT_NOT_FOUND"}).encode())

        do_POST = do_GET  # noqa: N815

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    opened.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield opened
    finally:
        server.shutdown()
        server.server_close()


def find(uri: str) -> str:
    """What becomes of asking for the experiment: these servers have none, and say so."""
    with pytest.raises(ServerError) as told:
        find_experiment(uri)
    return str(told.value)


@pytest.mark.parametrize(
    ("header", "settings"),
    [
        ("Basic dXNlcjpzZWNyZXQ=", {"USERNAME": "user", "PASSWORD": "secret"}),
        ("Bearer abc", {"TOKEN": "abc"}),
    ],
)
def test_a_server_that_wants_a_user_or_a_token_gets_it(
    monkeypatch: pytest.MonkeyPatch, header: str, settings: dict[str, str]
) -> None:
    with gate(wants=header) as server:
        with pytest.raises(StoreError, match=r"refuses the request \(401\).*MLFLOW_TRACKING_TOKEN"):
            find_experiment(server.address)
        assert server.seen == []
        for name, text in settings.items():
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", text)
        find(server.address)
        assert server.seen == ["GET /version", "GET /api/2.0/mlflow/experiments/get-by-name"]


def test_a_server_older_than_datasets_gets_all_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

    def missing(*_: object, **__: object) -> None:
        raise MlflowException("404 != 200", error_code=ENDPOINT_NOT_FOUND)

    tracker = backend.open_tracker(RUN, tmp_path)
    monkeypatch.setattr(MlflowClient, "log_inputs", missing)
    with pytest.warns(StoreWarning, match="too old for datasets"):
        write(tracker, [Fields({"config/dataset/path": "a", "config/dataset/fingerprint": "b"})])
    assert backend.load_runs(tmp_path).loc[RUN.id, "config/dataset/path"] == "a"


def test_a_database_of_another_version_is_told_in_one_sentence(tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    write(backend.open_tracker(RUN, tmp_path), [FIELDS])
    elsewhere = tmp_path / "older"  # MLflow remembers the file that it has opened
    elsewhere.mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    shutil.copy(tmp_path / "mlflow.db", elsewhere)
    with pytest.raises(MlflowException, match="run 'mlflow db upgrade"):
        backend.open_tracker(RUN, elsewhere)


def test_a_server_that_redirects_is_followed_on_its_own_host_only() -> None:
    with gate() as server:
        with gate(moved_to=server.address) as old:
            find(old.address)
        assert server.seen[-1] == "GET /api/2.0/mlflow/experiments/get-by-name"
        count = len(server.seen)
        elsewhere = server.address.replace("127.0.0.1", "localhost")
        with (
            gate(moved_to=elsewhere) as old,
            pytest.raises(StoreError, match=r"has moved to http://localhost:\d+\. Set MLFLOW"),
        ):
            find_experiment(old.address)
        assert server.seen[count:] == ["GET /version"], "nothing but the question who it is"


@pytest.mark.parametrize("name", ["100%25 digits", "faces?", "a b#c"])
def test_a_store_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = tmp_path / name
    store.mkdir()
    write(backend.open_tracker(RUN, store), [Fields({"config/seed": 1})])
    source = resolve_source(store)
    for location in (store, source.location):
        assert backend.load_runs(location).loc[RUN.id, "config/seed"] == 1
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert all(file.is_relative_to(store) for file in files)
