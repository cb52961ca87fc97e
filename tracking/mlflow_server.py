"""MLflow's own server and UI, in a separate process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tracking.backends.mlflow.address import database_file, file_store, tracking_uri
from tracking.errors import ServerError, StoreError

START_SECONDS = 60.0
LOG_FILE = "mlflow-server.log"

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # It would start eight processes of 240 MB each, for evaluating language models.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # Without this, MLflow refuses a folder in MLFLOW_TRACKING_URI.
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
"""The server's settings unless the user has set them."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        address: `http://127.0.0.1:<port>`.
        process: Its main process.
        log: The file that has its output.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Wait until the server ends by itself, then raise ServerError."""
        self.process.wait()
        raise ServerError(f"The MLflow server ended by itself:\n{_last_lines(self.log)}")


def external_server_address(store: Path) -> str | None:
    """The address of the server that MLFLOW_TRACKING_URI names; None if runs go to a file."""
    uri = tracking_uri(store)
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None


@contextlib.contextmanager
def mlflow_server(store: Path, port: int = 0) -> Iterator[Server]:
    """Serve the store's MLflow runs on the loopback interface; port 0 picks a free one.

    The server and the workers that it spawns end with the context.

    Raises:
        StoreError: No run in the store was tracked to MLflow.
        ServerError: The port is in use, or the server does not start.
    """
    uri = tracking_uri(store)
    location = database_file(uri) or file_store(uri)
    if location and not location.exists():
        raise StoreError(
            f"No run in {location.parent} was tracked to MLflow.\n"
            "Train one with: dcgan train --tracker mlflow"
        )
    port = _free_port(port)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", uri]
    store.mkdir(parents=True, exist_ok=True)
    log = store / LOG_FILE
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_SETTINGS | os.environ,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        if not _answers(address, process):
            raise ServerError(
                f"The MLflow server did not start on port {port}:\n{_last_lines(log)}"
            )
        yield Server(address, process, log)
    finally:
        _end(process)


def _free_port(port: int) -> int:
    """Check that a port is free, or find one for 0; another server there would pass for ours."""
    try:
        with socket.create_server(("127.0.0.1", port)) as listener:
            free_port: int = listener.getsockname()[1]
    except OSError as error:
        raise ServerError(
            f"Port {port} cannot be used: {os.strerror(error.errno or 0)}.\n"
            "Choose another one, or leave --port out for one that is free."
        ) from error
    return free_port


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server is up; False if its process ends or time runs out."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def _last_lines(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-1500:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children; on Unix even if the process itself has already ended."""
    if not hasattr(os, "killpg"):  # Windows
        _end_tree(process)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process and its descendants, which are found through it, without process groups."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for child_or_parent in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                child_or_parent.kill()
    process.wait()
