"""What reaches which store, and when."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.remotes import Remote, Slow
from tests.support.small_training import (
    DLOSS,
    EPOCH_GLOSS,
    GLOSS,
    RUN,
    assert_journal_whole,
    assert_whole,
    block,
    opening,
    training,
    write_all,
)
from tests.support.waiting import wait_until
from tracking.backends.local import Journal, open_tracker, read_events, read_fields, read_steps
from tracking.events import (
    DISCRIMINATOR_ARCH,
    FIXED_NOISE,
    GENERATOR_ARCH,
    TRACKERS,
    Event,
    Fields,
    Image,
    Metrics,
    Text,
)
from tracking.fanout import FanOut, RemoteLimits
from tracking.tracker import Held, Status


@contextmanager
def full_disk() -> Iterator[None]:
    """Every write to a file raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def in_journal(folder: Path, event: Event) -> bool:
    match event:
        case Fields(values):
            fields = read_fields(folder)
            return all(path in fields for path in values)
        case Metrics(steps):
            return set(steps) <= set(read_steps(folder)["step"])
        case Image(path, step):
            return (folder / path / f"{step:08d}.png").exists()
        case _:
            return event in [text for text in read_events(folder) if isinstance(text, Text)]


def count_parts(event: Event) -> int:
    """How many parts of an event can be counted: a remote may get several blocks as one."""
    return len(event.steps) if isinstance(event, Metrics) else 1


def test_the_journal_has_an_event_before_a_remote_sees_it(
    journal: Journal, fan_out: Callable[..., FanOut]
) -> None:
    in_journal_first: list[bool] = []

    class Checking(Remote):
        def write(self, event: Event) -> None:
            in_journal_first.extend([in_journal(journal.folder, event)] * count_parts(event))
            super().write(event)

    remote = Checking()
    tracker = fan_out({"remote": lambda: remote})
    tracker.write(block(1, 3))
    wait_until(lambda: remote.steps(GLOSS) == [1, 2, 3])  # from here on by the queue
    write_all(tracker, [*opening(), *training(20)[1:]])
    tracker.close("finished")
    assert_whole(remote, 20)
    assert all(in_journal_first)
    assert len(in_journal_first) >= sum(map(count_parts, [*opening(), *training(20)]))


def test_a_journal_that_cannot_be_written_is_reported_once_and_the_remotes_go_on(
    journal: Journal, fan_out: Callable[..., FanOut], warnings: list[str]
) -> None:
    """Even what is written while a remote still opens, and then is nowhere but in memory."""
    quick, slow = Remote(), Slow(0.002)
    may_open = threading.Event()

    def open_late() -> Remote:
        may_open.wait()
        return slow

    tracker = fan_out({"quick": lambda: quick, "slow": open_late}, queue_length=2)
    write_all(tracker, [*opening(), *training(10)])
    with full_disk():
        write_all(tracker, training(10, first=11))
    write_all(tracker, training(10, first=21))
    may_open.set()
    write_all(tracker, training(10, first=31))
    tracker.close("finished")

    assert warnings == ["The local journal cannot be written: OSError: [Errno 27] File too large"]
    for remote in (quick, slow):
        assert_whole(remote, 40)
        assert remote.status == "finished"
    # The journal kept the lines that the disk refused; a picture it could not keep.
    assert list(read_steps(journal.folder)["step"]) == list(range(1, 121))
    assert read_fields(journal.folder)["sys/status"] == "finished"


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_the_status_reaches_every_store(
    status: Status, journal: Journal, fan_out: Callable[..., FanOut]
) -> None:
    remotes = [Remote(), Slow(0.01)]
    tracker = fan_out({"one": lambda: remotes[0], "two": lambda: remotes[1]})
    write_all(tracker, opening())
    tracker.close(status)
    assert [remote.status for remote in remotes] == [status, status]
    assert read_fields(journal.folder)["sys/status"] == status


def test_a_resumed_run_sends_each_remote_exactly_what_it_lacks(
    tmp_path: Path, journal: Journal, warnings: list[str]
) -> None:
    for event in [*opening(), *training(40)]:
        journal.write(event)
    # A kill between two series of one block, after the picture of step 60.
    part = Remote(
        Held(
            last_step={GLOSS: 71, DLOSS: 70, EPOCH_GLOSS: 60},
            images=frozenset({(FIXED_NOISE, 30), (FIXED_NOISE, 60)}),
            files=frozenset({GENERATOR_ARCH}),
        )
    )
    empty = Remote()

    again = open_tracker(RUN, tmp_path)
    tracker = FanOut(
        again,
        {"part": lambda: part, "empty": lambda: empty},
        partial(read_events, again.folder),
        warnings.append,
        RemoteLimits(queue_length=2),
    )
    assert tracker.held().last_step[GLOSS] == 120
    tracker.write(Fields({"sys/status": "running"}))
    write_all(tracker, training(20, first=41))
    tracker.close("finished")

    assert warnings == []
    assert_whole(empty, 60)
    assert part.steps(GLOSS) == list(range(72, 181))
    assert part.steps(DLOSS) == list(range(71, 181))
    assert part.steps(EPOCH_GLOSS) == list(range(75, 181, 15))
    assert part.images() == [90, 120, 150, 180]
    assert part.texts() == [DISCRIMINATOR_ARCH]
    assert part.fields()["sys/epoch"] == 12


def test_how_far_remotes_got_stands_in_the_journal_and_is_sent_to_none(
    journal: Journal, fan_out: Callable[..., FanOut]
) -> None:
    remote = Remote()
    tracker = fan_out({"remote": lambda: remote}, queue_length=1)
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "open"
    write_all(tracker, [*opening(), *training(20)])
    tracker.close("finished")
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "complete"
    assert not [path for path in remote.fields() if path.startswith(TRACKERS)]


def test_without_remotes_only_the_journal_is_written(
    journal: Journal, fan_out: Callable[..., FanOut]
) -> None:
    tracker = fan_out({})
    write_all(tracker, [*opening(), *training(10)])
    tracker.close("finished")
    assert_journal_whole(journal.folder, 10)
    assert not [path for path in read_fields(journal.folder) if path.startswith(TRACKERS)]
