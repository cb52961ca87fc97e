"""Remotes that lag: what overflows their queue comes from the journal."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.support.remotes import Remote, Slow
from tests.support.small_training import (
    GLOSS,
    assert_journal_whole,
    assert_whole,
    block,
    opening,
    training,
    write_all,
)
from tests.support.waiting import wait_until
from tracking.backends.local import Journal, read_fields
from tracking.events import TRACKERS, Metrics
from tracking.fanout import FanOut, RemoteLimits


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """How long a thread may run while another waits; 5 ms otherwise."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def test_a_remote_that_had_nothing_to_do_has_not_stalled(warnings: list[str]) -> None:
    journal, remote = Remote(), Remote()
    tracker = FanOut(
        journal,
        {"remote": lambda: remote},
        lambda: list(journal.events),
        warnings.append,
        RemoteLimits(queue_length=1, patience=1),
    )
    tracker.write(block(1, 3))
    wait_until(lambda: remote.steps(GLOSS) == [1, 2, 3])
    time.sleep(1.1)
    with switch_interval(10):  # the queue overflows before the remote has its first turn
        write_all(tracker, [*opening(), *training(10)[1:]])
    tracker.close("finished")
    assert warnings == []
    assert_whole(remote, 10)


@pytest.mark.parametrize("seed", range(6))
def test_what_does_not_fit_the_queue_comes_from_the_journal(
    seed: int,
    journal: Journal,
    fan_out: Callable[..., FanOut],
    warnings: list[str],
) -> None:
    remotes = {"slow": Slow(0.004, seed), "slower": Slow(0.015, seed), "quick": Remote()}
    tracker = fan_out(
        {name: partial(lambda remote: remote, remote) for name, remote in remotes.items()},
        queue_length=2,
    )
    pauses = random.Random(seed)
    with switch_interval(5e-6):
        for event in [*opening(), *training(100)]:
            tracker.write(event)
            if pauses.random() < 0.3:
                time.sleep(pauses.uniform(0, 0.01))
        tracker.close("interrupted")

    assert warnings == []
    assert_journal_whole(journal.folder, 100)
    for name, remote in remotes.items():
        assert_whole(remote, 100)
        assert remote.status == "interrupted"
        assert read_fields(journal.folder)[f"{TRACKERS}/{name}"] == "complete"
    # It fell behind: what it was sent came in fewer and larger pieces.
    assert len(remotes["slower"].events) < len(training(100))


def test_a_remote_that_fell_behind_catches_up_before_the_end(
    fan_out: Callable[..., FanOut],
) -> None:
    remote = Remote()
    tracker = fan_out({"remote": lambda: remote}, queue_length=1)
    pauses = random.Random(0)
    step = 0
    with switch_interval(5e-6):
        for _ in range(150):
            for _ in range(pauses.randint(1, 6)):
                tracker.write(block(step + 1, step := step + 1))
            wait_until(lambda: len(remote.steps(GLOSS)) == step)
    tracker.close("finished")
    assert remote.steps(GLOSS) == list(range(1, step + 1))


def test_a_metric_that_comes_with_others_now_and_then_keeps_all_its_steps() -> None:
    journal, remote = Remote(), Remote()
    tracker = FanOut(journal, {"remote": lambda: remote}, lambda: list(journal.events), print)
    write_all(tracker, opening())
    wait_until(lambda: len(remote.texts()) == 2)
    often, rarely = "system/cpu_percent", "system/gpu_0_percent"
    for step in range(1, 7):
        paths = (often, rarely) if step % 2 else (often,)
        tracker.write(Metrics([step], [step], {path: [0.5] for path in paths}))
    tracker.close("finished")
    assert remote.steps(often) == [1, 2, 3, 4, 5, 6]
    assert remote.steps(rarely) == [1, 3, 5]
