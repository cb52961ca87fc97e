"""Opens runs with Neptune's client: online if the server answers, otherwise offline."""

from __future__ import annotations

import atexit
import base64
import json
import logging
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from tracking.backends.neptune.layout import DATA_FOLDER
from tracking.backends.neptune.offline_folders import held_offline
from tracking.backends.neptune.server_state import discard_unsent, held_by_server
from tracking.tracker import Held, Run

if TYPE_CHECKING:
    import neptune

ANSWER_SECONDS = 4.0

_logger = logging.getLogger(__name__)
_environment_lock = threading.Lock()


def open_online(run: Run, store: Path, sent_pictures: Path) -> tuple[neptune.Run, Held] | None:
    """Open a run on the server that NEPTUNE_API_TOKEN and NEPTUNE_PROJECT name.

    Args:
        run: The run, new or to be continued.
        store: The folder in which the client queues unsent data.
        sent_pictures: The file that lists the pictures sent, maintained by `server_state`.

    Returns:
        The client's run and what the server has of it; None if the variables are not set or, with a
        warning, if the server cannot be used.
    """
    token = os.environ.get("NEPTUNE_API_TOKEN")
    if not token or not os.environ.get("NEPTUNE_PROJECT"):
        return None
    try:
        _await_server(token)
        client_run = _init_run(run, store, "async")
        try:
            held = held_by_server(client_run, sent_pictures)
            discard_unsent(client_run)
        except Exception:
            client_run.stop(seconds=0)
            raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        _logger.warning("Neptune's server cannot be used, the run is kept offline: %s", reason)
        return None
    return client_run, held


def open_offline(run: Run, store: Path) -> tuple[neptune.Run, Held]:
    """Open a run offline; returns the client's run and what the store has of it."""
    held = held_offline(store, run.id)
    return _init_run(run, store, "offline"), held


def _await_server(token: str) -> None:
    """Raise unless the server answers soon; the client itself would wait forever."""
    os.environ.setdefault("NEPTUNE_RETRIES_TIMEOUT", "5")
    answer: Future[None] = Future()
    # A daemon thread, because resolving a name has no timeout and must not delay the exit.
    threading.Thread(target=_ask_server, args=(token, answer), daemon=True).start()
    began = monotonic()
    import neptune  # noqa: F401  (takes seconds as well, meanwhile)

    try:
        answer.result(max(0, began + ANSWER_SECONDS - monotonic()))
    except TimeoutError:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} s") from None


def _ask_server(token: str, answer: Future[None]) -> None:
    """Send the client's first request."""
    try:
        import requests

        url = urljoin(_server_address(token), "/api/backend/swagger.json")
        verify = not os.environ.get("NEPTUNE_ALLOW_SELF_SIGNED_CERTIFICATE")
        requests.get(url, timeout=ANSWER_SECONDS, verify=verify).raise_for_status()
        answer.set_result(None)
    except Exception as error:
        answer.set_exception(error)


def _server_address(token: str) -> str:
    try:
        content = json.loads(base64.b64decode(token))
        address = str(content.get("api_url") or content["api_address"])
    except Exception:
        raise ValueError("NEPTUNE_API_TOKEN is not the token of any server") from None
    return address if "://" in address else f"https://{address}"


def _init_run(run: Run, store: Path, mode: str) -> neptune.Run:
    import neptune
    from neptune.internal.utils.uncaught_exception_handler import instance as exception_hook

    # Output would disturb the progress bar of the training.
    logging.getLogger("neptune").setLevel(logging.ERROR)
    with _environment_lock:  # the client takes its folder from the environment
        before = os.environ.get("NEPTUNE_DATA_DIRECTORY")
        os.environ["NEPTUNE_DATA_DIRECTORY"] = str((store / DATA_FOLDER).absolute())
        try:
            client_run = neptune.init_run(
                mode=mode,
                custom_run_id=run.id,
                name=run.name,
                source_files=[],
                git_ref=False,
                capture_stdout=False,
                capture_stderr=False,
                capture_traceback=False,
                capture_hardware_metrics=False,
            )
        finally:
            if before is None:
                del os.environ["NEPTUNE_DATA_DIRECTORY"]
            else:
                os.environ["NEPTUNE_DATA_DIRECTORY"] = before
    # Both hooks affect the whole process: they print tracebacks twice and delay the exit.
    exception_hook.deactivate()
    atexit.unregister(client_run._shutdown_hook)
    return client_run
