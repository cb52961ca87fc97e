"""A real `mlflow server` for tests, forked from a process that has imported MLflow's server."""

from __future__ import annotations

import contextlib
import json
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
from functools import cache
from pathlib import Path

import psutil

from tests.support import SUPPORT
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
    arguments = ["--port", str(port), "--workers", "1", "--backend-store-uri", database]
    arguments += ["--artifacts-destination", str(folder / "artifacts")]
    process = _fork_server(arguments, folder)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address, process, folder / "log")
        yield address
    finally:
        _kill(process)


@cache
def _forking() -> subprocess.Popen[str]:
    """What forks this process's servers, and ends with it."""
    return subprocess.Popen(
        [sys.executable, SUPPORT / "forking_mlflow.py"],
        env={**os.environ, **SETTINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _fork_server(arguments: list[str], folder: Path) -> psutil.Process:
    forking = _forking()
    assert forking.stdin is not None
    assert forking.stdout is not None
    order = {
        "arguments": arguments,
        "folder": str(folder),
        "environment": {**os.environ, **SETTINGS},
    }
    forking.stdin.write(json.dumps(order) + "\n")
    forking.stdin.flush()
    return psutil.Process(int(forking.stdout.readline()))


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _wait_until_it_answers(address: str, process: psutil.Process, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.is_running():
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())
