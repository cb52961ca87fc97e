"""Ctrl-C before a command has begun its work: while it imports libraries."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.__main__ import _Interrupts
from dcgan.cli import app
from tracking.unfinished import unfinished

INTERRUPTED_IMPORT = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["dcgan", "train", "--store", {store!r}]
from dcgan.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typer", "dcgan.cli.commands.ui", "torch"])
def test_ctrl_c_within_an_import_is_one_sentence(tmp_path: Path, module: str) -> None:
    store = tmp_path / "runs"
    code = INTERRUPTED_IMPORT.format(module=module, store=str(store))
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted.\n")
    assert not store.exists()


@pytest.fixture
def interrupts() -> Iterator[None]:
    previous = signal.signal(signal.SIGINT, _Interrupts())
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interrupts")
def test_while_something_is_half_written_the_import_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_library.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGINT)\ncomplete = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path):
        importlib.import_module("slow_library")
        time.sleep(60)  # which the interruption ends
    assert sys.modules.pop("slow_library").complete


def test_every_command_says_that_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(store: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tracking.backends.local.run_folders", interrupt)
    (tmp_path / "runs").mkdir()
    result = CliRunner().invoke(app, ["du", "--store", str(tmp_path / "runs")])
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")
