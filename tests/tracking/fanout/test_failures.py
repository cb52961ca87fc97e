"""Remotes that raise, stall, come back, or leave by sys.exit."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.support.remotes import Failing, Remote, Stuck
from tests.support.small_training import (
    DLOSS,
    EPOCH_GLOSS,
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
from tracking.events import FIXED_NOISE, TRACKERS, Event
from tracking.fanout import FanOut
from tracking.tracker import Held, Status


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_a_remote_that_raises_is_reported_once_and_harms_nobody(
    method: str, journal: Journal, fan_out: Callable[..., FanOut], warnings: list[str]
) -> None:
    healthy = Remote()
    tracker = fan_out({"failing": partial(Failing, method), "healthy": lambda: healthy})
    write_all(tracker, [*opening(), *training(40)])
    tracker.close("finished")

    assert warnings == [
        "Tracking to failing stopped: ConnectionError: the server is gone. "
        "Training continues, and the local journal has everything."
    ]
    assert_journal_whole(journal.folder, 40)
    assert_whole(healthy, 40)
    assert healthy.status == "finished"
    fields = read_fields(journal.folder)
    problem = "incomplete: ConnectionError: the server is gone"
    assert fields[f"{TRACKERS}/failing"] == problem
    assert fields[f"{TRACKERS}/healthy"] == "complete"
    assert fields["sys/status"] == "finished"


class Restarting(Remote):
    """A store whose server is down now and then; what it has taken it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.down = threading.Event()

    def opened(self) -> Restarting:
        self._refuse_while_down()
        return self

    def held(self) -> Held:
        series = {GLOSS, DLOSS, EPOCH_GLOSS}
        return Held(
            {path: self.steps(path)[-1] for path in series if self.steps(path)},
            frozenset((FIXED_NOISE, step) for step in self.images()),
            frozenset(self.texts()),
        )

    def write(self, event: Event) -> None:
        self._refuse_while_down()
        super().write(event)

    def close(self, status: Status) -> None:
        self._refuse_while_down()
        super().close(status)

    def _refuse_while_down(self) -> None:
        if self.down.is_set():
            raise ConnectionError("the server is down")


def test_a_remote_that_comes_back_gets_what_it_missed_and_is_reported_once(
    journal: Journal, fan_out: Callable[..., FanOut], warnings: list[str]
) -> None:
    remote = Restarting()
    tracker = fan_out({"remote": remote.opened}, queue_length=4, retry=0.05)
    write_all(tracker, [*opening(), *training(10)])
    for first in (11, 21):
        wait_until(lambda first=first: remote.steps(GLOSS)[-1:] == [3 * (first - 1)])
        remote.down.set()
        write_all(tracker, training(10, first))
        wait_until(lambda: len(warnings) == 1)
        time.sleep(0.2)  # retries fail, and nothing more is reported
        remote.down.clear()
    tracker.close("finished")
    assert len(warnings) == 1
    assert_whole(remote, 30)
    assert remote.status == "finished"
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "complete"


def test_a_remote_that_is_back_only_at_the_end_gets_all(
    journal: Journal, fan_out: Callable[..., FanOut], warnings: list[str]
) -> None:
    remote = Restarting()
    remote.down.set()
    tracker = fan_out({"remote": remote.opened})
    write_all(tracker, [*opening(), *training(20)])
    wait_until(lambda: len(warnings) == 1)
    remote.down.clear()
    tracker.close("finished")
    assert_whole(remote, 20)
    assert remote.status == "finished"
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "complete"


def test_an_sdk_that_leaves_by_sys_exit_is_not_taken_for_complete(
    journal: Journal, fan_out: Callable[..., FanOut], warnings: list[str]
) -> None:
    tracker = fan_out({"leaving": lambda: sys.exit("no credentials")})
    tracker.close("finished")
    assert len(warnings) == 1
    state = read_fields(journal.folder)[f"{TRACKERS}/leaving"]
    assert state == "incomplete: SystemExit: no credentials"


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_a_remote_that_never_answers_holds_up_neither_the_steps_nor_the_end(
    method: str,
    journal: Journal,
    fan_out: Callable[..., FanOut],
    warnings: list[str],
    release: threading.Event,
) -> None:
    healthy = Remote()
    remotes = {"stuck": partial(Stuck, method, release), "healthy": lambda: healthy}
    tracker = fan_out(remotes, queue_length=8, patience=1)
    began = time.monotonic()
    write_all(tracker, [*opening(), *training(100)])
    tracker.close("finished")
    assert time.monotonic() - began < 60

    assert warnings == [
        "Tracking to stuck stopped: it has not answered for 1 s. "
        "Training continues, and the local journal has everything."
    ]
    assert_journal_whole(journal.folder, 100)
    assert_whole(healthy, 100)
    assert healthy.status == "finished"
    state = read_fields(journal.folder)[f"{TRACKERS}/stuck"]
    assert state == "incomplete: it has not answered for 1 s"


def test_opening_a_remote_may_take_longer_than_its_answers(
    fan_out: Callable[..., FanOut],
    warnings: list[str],
    release: threading.Event,
    later: list[float],
) -> None:
    def let_minutes_pass() -> None:
        later[0] = 100.0

    remotes = {"slow": lambda: Stuck("open", release)}
    tracker = fan_out(remotes, patience=30, opening_patience=300)
    write_all(tracker, [*opening(), *training(10)])
    threading.Timer(0.2, let_minutes_pass).start()
    threading.Timer(4, release.set).start()  # meanwhile, `close` asks whether it has stalled
    tracker.close("finished")
    assert warnings == []


def test_a_remote_that_stalls_is_reported_while_the_training_lasts(
    fan_out: Callable[..., FanOut], warnings: list[str], release: threading.Event
) -> None:
    stuck = Stuck("write", release)
    tracker = fan_out({"stuck": lambda: stuck}, queue_length=2, patience=0.2)
    steps = iter(range(1, 1_000_000))

    def reported() -> bool:
        tracker.write(block(step := next(steps), step))
        return bool(warnings)

    wait_until(reported)
    release.set()  # it answers after all, and gets the rest at the end
    tracker.close("finished")
    assert len(warnings) == 1
    assert sorted(set(stuck.steps(GLOSS))) == list(range(1, next(steps)))
    assert stuck.status == "finished"


def test_a_stalled_remote_that_fails_at_last_is_reported_once(
    fan_out: Callable[..., FanOut], warnings: list[str], release: threading.Event
) -> None:
    class Dying(Stuck):
        def write(self, event: Event) -> None:
            super().write(event)
            raise ConnectionError

    dying = Dying("write", release)
    tracker = fan_out({"dying": lambda: dying}, patience=0.2)
    tracker.close("finished")
    assert len(warnings) == 1
    release.set()
    wait_until(lambda: "tracker-dying" not in [thread.name for thread in threading.enumerate()])
    assert len(dying.events) == 1
    assert len(warnings) == 1


def test_the_time_in_which_the_process_was_stopped_is_no_silence(
    fan_out: Callable[..., FanOut],
    warnings: list[str],
    release: threading.Event,
    later: list[float],
) -> None:
    """As by Ctrl-Z in the wait at the end: the clock goes on, the remote cannot."""

    def stop_for_minutes() -> None:
        later[0] = 1_000.0

    tracker = fan_out({"slow": lambda: Stuck("close", release)}, patience=5)
    tracker.write(block(1, 3))
    threading.Timer(0.6, stop_for_minutes).start()
    threading.Timer(2, release.set).start()  # meanwhile, `close` asks whether it has stalled
    tracker.close("finished")
    assert warnings == []
