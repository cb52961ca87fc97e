"""Signals while one of several processes evaluates, and the others wait for it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from dcgan.jobs.signals import ending_at_once, stop_requests
from tests.dcgan.cli.test_evaluate import TINY
from tests.support import endless_evaluation
from tests.support.forked import fork, torchrun
from tracking.backends.local import read_fields, read_steps, run_folders


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("catch_repeats", [False, True])
def test_one_signal_ends_the_work_and_is_noted(number: signal.Signals, catch_repeats: bool) -> None:
    before = signal.getsignal(number)
    with stop_requests(catch_repeats) as stop:
        noting = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt), ending_at_once():
            signal.raise_signal(number)
            pytest.fail("the work goes on")
        assert stop()
        assert signal.getsignal(number) == (noting if catch_repeats else before)
    assert signal.getsignal(number) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_torchrun_need_not_kill_processes_that_evaluate(
    number: signal.Signals, tmp_path: Path
) -> None:
    store = tmp_path / "runs"
    arguments = ("train", "digits", *TINY, "--evaluate-every", "1", "--store", str(store))
    running = fork(torchrun, 2, endless_evaluation.main, *arguments, folder=tmp_path, leader=True)
    deadline = time.monotonic() + 200
    while not (tmp_path / endless_evaluation.BEGUN).exists():
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    running.send_signal(number)
    output = "".join(running.communicate(timeout=100))
    (folder,) = run_folders(store)
    assert read_fields(folder)["sys/status"] == "interrupted", output
    assert f"interrupted after {read_steps(folder)['step'].max()} of" in output
    assert "Error" not in output.partition("Traceback")[0], "one process reports, not the other"
