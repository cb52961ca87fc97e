"""Workers on this machine: one process each, so that a process that dies fails only its own run."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence

from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from dcgan.sweeping.worker import WorkItem, WorkResult, init_worker, run_work_item

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_IDLE_SECONDS = 300.0

_IDLE: dict[int, deque[ProcessPoolExecutor]] = {}
"""Idle workers by their number of threads; they are reused, because starting one takes seconds."""

_BUSY: list[ProcessPoolExecutor] = []


def run_in_processes(
    work_items: Sequence[WorkItem],
    jobs: int,
    add_result: Callable[[WorkResult], None],
    is_stopping: Callable[[], bool],
) -> None:
    """Run work items in processes, and replace any that dies.

    Args:
        work_items: At least one.
        jobs: Number of processes.
        add_result: Called with each result.
        is_stopping: Whether no further item should begin; failures after that are ignored.
    """
    waiting = deque(work_items)

    def work() -> None:
        if hasattr(signal, "pthread_sigmask"):
            # Inherited by the worker, so that a terminal's Ctrl-C does not end it while it starts.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        while not is_stopping():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            if result := _run(item, is_stopping):
                add_result(result)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def kill_workers() -> None:
    """Kill the processes that are training."""
    for executor in list(_BUSY):
        executor.shutdown(wait=False, kill_workers=True)


def _run(item: WorkItem, is_stopping: Callable[[], bool]) -> WorkResult | None:
    """Run one item; None if Ctrl-C ended its worker."""
    idle = _IDLE.setdefault(item.threads, deque())
    executor = idle.pop() if idle else _start_worker(item.threads)
    _BUSY.append(executor)
    try:
        result: WorkResult = executor.submit(run_work_item, item).result()
    except Exception as error:  # the process failed; a run that fails returns a result
        executor.shutdown(wait=False)
        return None if is_stopping() else WorkResult(item.run.key, _describe(error))
    finally:
        _BUSY.remove(executor)
    idle.append(executor)
    return result


def _start_worker(threads: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        timeout=_IDLE_SECONDS,
        initializer=init_worker,
        initargs=(os.getpid(),),
        env=dict.fromkeys(_THREAD_VARIABLES, str(threads)),
    )


def _describe(error: Exception) -> str:
    if not isinstance(error, BrokenProcessPool):
        return f"{type(error).__name__}: {error}"
    codes = re.search(r"\{(.+)\}", str(error))  # loky puts them only into its message
    return (
        f"its process died{f', by {codes[1]}' if codes else ''}, as when memory runs out. "
        "Continue this run with the same command and --resume; fewer --jobs need less memory."
    )
