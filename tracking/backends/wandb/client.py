"""Opens runs with W&B's client, and ends its service process.

The client changes the whole process: it replaces `sys.excepthook` and `sys.exit`, exports its
service's address to child processes, and waits for the service when Python exits. All of this is
undone here. The service is shut down once no run is open, and killed if it does not answer.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tracking.backends.wandb.layout import INSTALL
from tracking.errors import StoreError
from tracking.tracker import Run

if TYPE_CHECKING:
    import wandb

SERVICE = "wandb-core"
DEFAULT_PROJECT = "dcgan"
FLUSH_SECONDS = 0.01
CONNECTION_SECONDS = 10.0

_ADDRESS_OF_SERVICE = "WANDB_SERVICE"
_DEFAULTS = {"WANDB_ERROR_REPORTING": "false"}

_logger = logging.getLogger(__name__)
_lock = threading.Lock()
_open_runs: list[Any] = []


def open_run(run: Run, store: Path) -> wandb.Run:
    """Open a new or existing run in a new folder below the store's `wandb`.

    Offline, unless WANDB_MODE is `online` and WANDB_API_KEY is set. If the server cannot be used, a
    warning is given and the run is kept offline.
    """
    with _lock:
        # Runs of a tracker that was abandoned without being closed.
        for abandoned in [each for each in _open_runs if each.id == run.id]:
            abandoned.finish(exit_code=1)
            _open_runs.remove(abandoned)
        if os.environ.get("WANDB_MODE") == "online":
            if os.environ.get("WANDB_API_KEY"):
                with contextlib.suppress(Exception):
                    return _init(run, store, "online")
                reason = "its server cannot be used"
            else:
                reason = "WANDB_API_KEY is not set"
            _logger.warning("W&B: %s, the run is kept offline", reason)
        return _init(run, store, "offline")


def close_run(client_run: wandb.Run, exit_code: int) -> None:
    """End a run, and the service if no other run is open."""
    import wandb

    client_run.finish(exit_code=exit_code)
    with _lock:
        _open_runs.remove(client_run)
        if not _open_runs:
            wandb.teardown()


def abandon_run(client_run: wandb.Run) -> None:
    """Abandon a run whose service has failed, and the service with it."""
    with _lock:
        if client_run in _open_runs:
            _open_runs.clear()  # the other runs used the same service
            _end_service()


def _init(run: Run, store: Path, mode: str) -> wandb.Run:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    hooks = sys.excepthook, sys.exit
    users_service = os.environ.pop(_ADDRESS_OF_SERVICE, None)  # it is not ours to shut down
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise StoreError(INSTALL) from error
    settings = wandb.Settings(
        silent=True,  # output would disturb the progress bar of the training
        console="off",
        symlink=False,
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
        init_timeout=CONNECTION_SECONDS,
        finish_timeout=CONNECTION_SECONDS,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=FLUSH_SECONDS,
    )
    store.mkdir(parents=True, exist_ok=True)
    try:
        client_run = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            dir=store,
            id=run.id,
            name=run.name,
            project=os.environ.get("WANDB_PROJECT", DEFAULT_PROJECT),
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=settings,
        )
    except BaseException:
        if not _open_runs:
            _end_service()
        raise
    finally:
        sys.excepthook, sys.exit = hooks
        os.environ.pop(
            _ADDRESS_OF_SERVICE, None
        )  # a forked process would write to its parent's service
        if users_service is not None:
            os.environ[_ADDRESS_OF_SERVICE] = users_service
    if not _open_runs:
        atexit.unregister(_end_open_runs)
        atexit.register(_end_open_runs)  # registered after the client's handler, so it runs before
    _open_runs.append(client_run)
    return client_run


def _end_open_runs() -> None:
    """At the exit of Python: end runs that were abandoned while stalled, or never closed."""
    if _open_runs:
        _silence_client()
        _kill_services()  # first, since a thread that holds the lock may wait for it
        if _lock.acquire(timeout=CONNECTION_SECONDS):
            _lock.release()
            for client_run in _open_runs[:]:
                abandon_run(client_run)


def _silence_client() -> None:
    """Leave out what the client's own handler says at exit, that its service is gone.

    Since Python 3.14 it is called although the client has unregistered it meanwhile.
    """
    report = sys.unraisablehook

    def report_others(problem: sys.UnraisableHookArgs) -> None:
        trace = problem.exc_traceback
        if trace is None or not trace.tb_frame.f_globals["__name__"].startswith("wandb."):
            report(problem)

    sys.unraisablehook = report_others


def service_processes() -> list[psutil.Process]:
    """The service processes that the client started: one, or none if it has ended."""
    processes = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            if child.name() == SERVICE and child.status() != psutil.STATUS_ZOMBIE:
                processes.append(child)
    return processes


def _end_service() -> None:
    """Kill the service, as it may not answer, and make the client forget it."""
    import wandb

    _kill_services()
    with contextlib.suppress(Exception, SystemExit):  # the client reports that the service is gone
        wandb.teardown()


def _kill_services() -> None:
    services = service_processes()
    for service in services:
        with contextlib.suppress(psutil.Error):
            service.kill()
    psutil.wait_procs(services, timeout=CONNECTION_SECONDS)
