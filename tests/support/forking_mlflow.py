"""A process that has imported MLflow's server and forks servers, so that a start costs no import.

Reads lines of JSON from stdin, `{"arguments": [...], "folder": "...", "environment": {...}}`, forks
a process that runs `mlflow server` with these arguments in that folder, as the leader of a process
group, and answers with its process id. Ends when stdin does; its servers go on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def main() -> None:
    import mlflow.server
    import mlflow.server.fastapi_app
    import mlflow.store.tracking.sqlalchemy_store
    import uvicorn.main  # noqa: F401
    from mlflow.cli import cli

    # MLflow would start a second interpreter for it.
    mlflow.server._exec_cmd = _serve
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ends a server does not wait for it here
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _detach(order["folder"])
            os.environ.clear()
            os.environ.update(order["environment"])
            cli(["server", *order["arguments"]])
            os._exit(1)
        print(child, flush=True)
    os._exit(0)  # to free what it has imported takes a second


def _detach(folder: str) -> None:
    os.setsid()
    os.chdir(folder)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for file, stream in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
        os.dup2(file, stream)


def _serve(command: Sequence[str], extra_env: Mapping[str, str], **_: object) -> NoReturn:
    """Be the server whose command MLflow wants to start."""
    import uvicorn.main

    os.environ.update(extra_env)
    uvicorn.main.main(command[command.index("uvicorn") + 1 :])
    os._exit(0)


if __name__ == "__main__":
    main()
