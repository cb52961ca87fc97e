"""`dcgan ui` as the user's own process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class UserInterface:
    """A running `dcgan ui` and the address that it printed."""

    address: str
    process: subprocess.Popen[str]

    def servers(self) -> list[psutil.Process]:
        """All that it started."""
        return psutil.Process(self.process.pid).children(recursive=True)


def _catch_interrupts() -> None:
    """A shell starts what is in its background with Ctrl-C ignored, and so would the tests be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def dcgan_ui(store: Path, **environment: str) -> Iterator[UserInterface]:
    """Start `dcgan ui` and wait for its address; end it by Ctrl-C where a test has not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dcgan", "ui", "--store", str(store)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_catch_interrupts,  # noqa: PLW1509 (it takes no lock)
    )
    watchdog = threading.Timer(90, process.terminate)
    watchdog.start()
    try:
        assert process.stdout is not None
        printed = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S*", printed)
        assert found, printed + process.stdout.read()
        watchdog.cancel()
        yield UserInterface(found[0], process)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
