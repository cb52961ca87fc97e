"""Processes forked from one that has imported PyTorch, such as `dcgan`: a start costs no import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from tracking import fanout

# What `dcgan train`, `resume` and `sweep` import before their first step.
IMPORTS = (
    "torch",
    "git",
    "dcgan.cli",
    "dcgan.cli.progress",
    "dcgan.jobs.run",
    "dcgan.run_folder.describe",
    "torch.distributed.launcher.api",
    "dcgan.sweeping.datasets",
    "dcgan.sweeping.executor",
    "dcgan.sweeping.storage",
)


@dataclass(frozen=True)
class Command:
    """A running command, with the part of `subprocess.Popen` that tests of commands need."""

    process: BaseProcess
    outputs: tuple[Path, Path]

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; raises AssertionError if it takes longer than `timeout` seconds."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, self.written()
        return self.process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it has written to stdout and stderr once it has ended."""
        self.wait(timeout)
        return self.written()

    def written(self) -> tuple[str, str]:
        """What it has written to stdout and stderr so far."""
        output, errors = (path.read_text() for path in self.outputs)
        return output, errors


def fork_command(
    *arguments: str, folder: Path, leader: bool = False, **environment: str
) -> Command:
    """Run `dcgan` with these arguments in a folder.

    Args:
        arguments: What follows `dcgan` on the command line.
        folder: The command's working directory.
        leader: Whether it leads a process group and may have processes of its own.
        environment: Variables beside those of this process.

    Returns:
        The command, which may have ended already.
    """
    return fork(dcgan, *arguments, folder=folder, leader=leader, **environment)


def fork(
    target: Callable[..., object],
    *arguments: object,
    folder: Path,
    leader: bool = False,
    **environment: str,
) -> Command:
    """Call a function of a module in a process of its own, as `fork_command` calls `dcgan`.

    Args:
        target: The function.
        arguments: What it is called with.
        folder: The process's working directory.
        leader: Whether it leads a process group and may have processes of its own.
        environment: Variables beside those of this process.
    """
    context = fork_context()
    logs = Path(tempfile.mkdtemp(prefix="command-", dir=folder))
    outputs = (logs / "stdout", logs / "stderr")
    for path in outputs:
        path.touch()
    process = context.Process(
        target=_run,
        args=(target, arguments, folder, leader, outputs, {**os.environ, **environment}),
        daemon=not leader,
    )
    process.start()
    return Command(process, outputs)


def fork_context() -> ForkServerContext:
    """Starts processes from one that has imported PyTorch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTS))
    return context


def dcgan(*arguments: str) -> None:
    """Be the command `dcgan`, in a process of its own."""
    sys.argv = ["dcgan", *arguments]
    from dcgan.cli import app

    app(prog_name="dcgan")


def dcgan_in_short_blocks(*arguments: str) -> None:
    """Be that command, whose journal gets each five steps at once, and so shows progress soon."""
    from dcgan.training import metric_buffer

    metric_buffer.BLOCK_STEPS = 5
    dcgan(*arguments)


def torchrun(processes: int, target: Callable[..., object], *arguments: object) -> None:
    """Start a function in several processes, as `torchrun` starts a program, but by forks."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
        start_method="fork",
    )
    elastic_launch(config, target)(*arguments)


def _run(
    target: Callable[..., object],
    arguments: tuple[object, ...],
    folder: Path,
    leader: bool,
    outputs: tuple[Path, Path],
    environment: Mapping[str, str],
) -> None:
    if leader:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for path, stream in zip(outputs, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    fanout.LOWEST_PRIORITY = 0  # as in tests/conftest.py
    try:
        target(*arguments)
    finally:
        # As an interpreter ends. Multiprocessing waits before that for the workers of a sweep,
        # which joblib ends here.
        threading._shutdown()
