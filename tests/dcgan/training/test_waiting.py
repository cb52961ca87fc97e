"""Two processes wait for each other as long as it takes, but not for one that has failed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dcgan.training.distributed import SINGLE_PROCESS
from tests.support import REPOSITORY, SUPPORT
from tests.support.mlflow_process import free_port

pytestmark = pytest.mark.slow

FAILED = "rank 1: UserError: Another process could not go on; its own message says why."


def printed(part: str) -> list[str]:
    """What two processes print that take a part of `waiting_ranks.py`; rank 0 keeps the store."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SUPPORT / "waiting_ranks.py"), part],
            env={**os.environ, **address, "PYTHONPATH": str(REPOSITORY), "RANK": str(rank)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    lines = [line for output in outputs for line in output.splitlines()]
    return [line for line in lines if line.startswith("rank ")]


def test_no_turn_is_too_long():
    assert printed("first_is_slow") == ["rank 0: 3", "rank 0: 3", "rank 1: 3", "rank 1: 3"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("first_fails", ["rank 0: ValueError: an error of the program", FAILED]),
        (
            "other_fails",
            [FAILED.replace("1", "0"), "rank 1: ProcessError: this machine has no images"],
        ),
        (
            "first_is_killed",
            [
                "rank 0: 3",
                "rank 1: 3",
                "rank 1: UserError: The first process has ended, and with it the training.",
            ],
        ),
    ],
)
def test_nobody_waits_for_a_process_that_failed(part: str, expected: list[str]):
    assert printed(part) == expected


def test_a_single_process_waits_for_nobody():
    done = []
    for turn in (SINGLE_PROCESS.main_process_first, SINGLE_PROCESS.wait_for_main_process):
        with turn():
            done.append(turn.__name__)
    assert done == ["main_process_first", "wait_for_main_process"]
