"""Two processes wait for each other as long as it takes, but not for one that has failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.training.distributed import SINGLE_PROCESS
from tests.support import waiting_ranks
from tests.support.forked import Command, fork
from tests.support.mlflow_process import free_port

pytestmark = pytest.mark.slow

FAILED = "rank 1: UserError: Another process could not continue; its own message says why."


def start(part: str, folder: Path) -> list[Command]:
    """Two processes that take a part of `waiting_ranks.py`; the first keeps the store."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    return [
        fork(waiting_ranks.main, part, folder=folder, **address, RANK=str(rank)) for rank in (0, 1)
    ]


def printed(ranks: list[Command]) -> list[str]:
    """What they print."""
    outputs = [rank.communicate(timeout=200) for rank in ranks]
    lines = [line for output in outputs for text in output for line in text.splitlines()]
    return [line for line in lines if line.startswith("rank ")]


@pytest.fixture(scope="module", autouse=True)
def slow_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Command]:
    """They sleep during the other tests."""
    return start("first_is_slow", tmp_path_factory.mktemp("slow"))


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
def test_nobody_waits_for_a_process_that_failed(part: str, expected: list[str], tmp_path: Path):
    assert printed(start(part, tmp_path)) == expected


def test_no_turn_is_too_long(slow_ranks: list[Command]):
    assert printed(slow_ranks) == [
        "rank 0: 3",
        "rank 0: 3",
        "rank 1: 3",
        "rank 1: 3",
    ]


def test_a_single_process_waits_for_nobody():
    done = []
    for turn in (SINGLE_PROCESS.main_process_first, SINGLE_PROCESS.wait_for_main_process):
        with turn():
            done.append(turn.__name__)
    assert done == ["main_process_first", "wait_for_main_process"]
