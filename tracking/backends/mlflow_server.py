"""MLflow's own server and UI, as a process of its own."""

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

from tracking.backends.mlflow import tracking_uri
from tracking.errors import StoreError

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A server that answers at `address`."""

    address: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def mlflow_server(store: Path, port: int = 0) -> Iterator[Server]:
    """Serve the store's MLflow runs on the loopback interface; port 0 takes a free one.

    The server and the workers that it spawns end with the context. Raises StoreError
    where there is nothing to serve or the server does not start.
    """
    database = store / "mlflow.db"
    if tracking_uri(store).startswith("sqlite:") and not database.exists():
        raise StoreError(
            f"No run in {store} was tracked to MLflow.\n"
            "Train one with: dcgan train --tracker mlflow"
        )
    port = port or _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", tracking_uri(store)]
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", **os.environ}
    log = store / "mlflow-server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        if not _answers(address, process):
            reason = log.read_text(errors="replace").strip()[-1500:]
            raise StoreError(f"The MLflow server did not start on port {port}:\n{reason}")
        yield Server(address, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server is up; False where its process ended or time is over."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False
