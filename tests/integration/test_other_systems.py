"""What Windows and macOS lack is not needed there, as far as that can be simulated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path, PureWindowsPath

import psutil
import pytest
import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.jobs.signals import unwind_on_termination
from dcgan.profiling import step_timing
from tests.support import without_unix
from tests.support.forked import fork
from tracking import fanout, mlflow_server, redaction
from tracking.atomic_files import atomic_write
from tracking.backends import local
from tracking.clock import now_ms
from tracking.tracker import Run


def test_every_module_can_be_imported_without_what_unix_alone_has(tmp_path: Path):
    process = fork(without_unix.import_all, folder=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert {"dcgan.jobs.signals", "tracking.fanout", "analysis.runs"} <= set(output.split())


def test_a_closed_terminal_needs_no_signal_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(signal, "SIGHUP")
    before = signal.getsignal(signal.SIGTERM)
    with unwind_on_termination():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


SERVER_WITH_A_WORKER = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_a_server_ends_with_its_workers_without_process_groups(monkeypatch: pytest.MonkeyPatch):
    command = [sys.executable, "-c", SERVER_WITH_A_WORKER]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert server.stdout is not None
    worker = psutil.Process(int(server.stdout.readline()))
    monkeypatch.delattr(os, "killpg")
    mlflow_server._end(server)
    assert server.poll() is not None
    _, living = psutil.wait_procs([worker], timeout=60)
    assert not living


@pytest.mark.parametrize(("system", "calls"), [("linux", 1), ("darwin", 0), ("win32", 0)])
def test_only_on_linux_is_the_number_of_a_thread_a_process_to_give_a_priority(
    monkeypatch: pytest.MonkeyPatch, system: str, calls: int
):
    numbers: list[int] = []
    monkeypatch.setattr(os, "setpriority", lambda which, who, priority: numbers.append(who))
    monkeypatch.setattr(fanout.sys, "platform", system)
    fanout._set_priority(threading.get_native_id(), fanout.LOWEST_PRIORITY)
    assert len(numbers) == calls


def test_a_file_is_replaced_once_its_readers_have_closed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    readers = ["watch", "plot"]
    rename = Path.replace

    def replace(temporary: Path, target: Path) -> Path:
        if readers:
            raise PermissionError(13, f"{readers.pop()} has the file open")
        return rename(temporary, target)

    monkeypatch.setattr(Path, "replace", replace)
    with atomic_write(tmp_path / "run.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "run.json").read_text() == "{}"


def test_the_journal_asks_for_line_ends_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []
    binary = os.O_CLOEXEC  # stands for O_BINARY, which has a meaning on Windows alone
    open_file = os.open
    monkeypatch.setattr(os, "O_BINARY", binary, raising=False)

    def note(path: Path, flags: int, *mode: int, **options: int) -> int:
        asked.append(flags)
        return open_file(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", note)
    journal = local.open_tracker(Run("digits-abc234", "a run", now_ms()), tmp_path)
    journal.close("finished")
    assert any(flags & os.O_APPEND and flags & binary for flags in asked)


def test_a_home_on_windows_is_redacted_in_toml_as_well(monkeypatch: pytest.MonkeyPatch):
    home = PureWindowsPath(r"C:\Users\ada")
    monkeypatch.setattr(redaction, "_homes", lambda: {home})
    redact = redaction.make_redactor()
    assert redact(r"C:\Users\ada\faces") == r"~\faces"
    assert redact(r'path = "C:\\Users\\ada\\faces"') == r'path = "~\\faces"'


@pytest.mark.parametrize("name", ["a: b?", "a/b", 'a "quoted" name', "aux"])
def test_no_file_is_named_after_a_recipe(name: str, monkeypatch: pytest.MonkeyPatch):
    settings = ("network.generator_features=4", "network.discriminator_features=4")
    config = load_config("digits", [parse_override(setting) for setting in settings])
    renamed = config.model_copy(update={"name": name})
    file = step_timing._timing_file(renamed, torch.device("cpu"))
    assert file.parent.name == "trials"
    assert file.stem.isalnum()
