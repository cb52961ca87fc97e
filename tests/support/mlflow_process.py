"""A real `mlflow server` for tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracking.backends.mlflow import database_file
from tracking.backends.mlflow.database import ensure_database

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its jobs evaluate language models; for them it starts eight processes, at two seconds each.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


@contextmanager
def mlflow_server(folder: Path, database: str, port: int | None = None) -> Iterator[str]:
    """Run a server and yield its address; all of its processes are killed at the end.

    Args:
        folder: Where its artifacts and its log are kept.
        database: The address of its database.
        port: The port on the loopback interface; a free one if omitted.
    """
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    if file := database_file(database):
        ensure_database(file)
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **SETTINGS},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address, process, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())
