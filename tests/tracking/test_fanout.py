"""The fan-out with a real journal, and with remotes that fail, stall and lag."""

from __future__ import annotations

import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

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
from tracking.fanout import FanOut
from tracking.tracker import Held, Run, Status, Tracker

CREATED = 1_700_000_000_123
RUN = Run("digits-abc234", "a run", CREATED)
GLOSS = "training/batch/Gloss"
DLOSS = "training/batch/Dloss"
EPOCH_GLOSS = "training/epoch/Gloss"


class Remote:
    """A store in memory: it keeps what it is sent, in order."""

    def __init__(self, held: Held | None = None) -> None:
        self.events: list[Event] = []
        self.status: Status | None = None
        self._held = held or Held()

    def held(self) -> Held:
        return self._held

    def write(self, event: Event) -> None:
        self.events.append(event)

    def close(self, status: Status) -> None:
        self.status = status

    def steps(self, path: str) -> list[int]:
        """The steps of one metric, in the order in which they came."""
        blocks = [event for event in self.events if isinstance(event, Metrics)]
        return [step for block in blocks if path in block.values for step in block.steps]

    def images(self) -> list[int]:
        return [event.step for event in self.events if isinstance(event, Image)]

    def texts(self) -> list[str]:
        return [event.path for event in self.events if isinstance(event, Text)]

    def fields(self) -> dict[str, object]:
        """The values that stand at the end."""
        values: dict[str, object] = {}
        for event in self.events:
            if isinstance(event, Fields):
                values |= event.values
        return values


class Failing(Remote):
    """Raises at every call of one method."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method
        self._fail("open")

    def write(self, event: Event) -> None:
        self._fail("write")

    def close(self, status: Status) -> None:
        self._fail("close")

    def _fail(self, method: str) -> None:
        if method == self._method:
            raise ConnectionError("the server\nis gone.")


class Stuck(Remote):
    """Never returns from one method, until the test is over."""

    def __init__(self, method: str, over: threading.Event) -> None:
        super().__init__()
        self._method = method
        self._over = over
        self._stick("open")

    def write(self, event: Event) -> None:
        self._stick("write")
        super().write(event)

    def close(self, status: Status) -> None:
        self._stick("close")
        super().close(status)

    def _stick(self, method: str) -> None:
        if method == self._method:
            self._over.wait()


class Slow(Remote):
    """Takes up to `seconds` for an event."""

    def __init__(self, seconds: float, seed: int = 0) -> None:
        super().__init__()
        self._seconds = seconds
        self._random = random.Random(seed)

    def write(self, event: Event) -> None:
        time.sleep(self._random.uniform(0, self._seconds))
        super().write(event)


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set at the end of the test, so that no thread of it stays stuck."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_tracker(RUN, tmp_path)


@pytest.fixture
def fan_out(journal: Journal, reports: list[str]) -> Callable[..., FanOut]:
    def build(
        remotes: dict[str, Callable[[], Tracker]],
        queue_length: int = 256,
        patience: float = 30,
        retry: float = 60,
    ) -> FanOut:
        return FanOut(
            journal,
            remotes,
            partial(read_events, journal.folder),
            reports.append,
            queue_length=queue_length,
            patience=patience,
            retry=retry,
        )

    return build


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """How long a thread may run while another waits; 5 ms otherwise."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def full_disk() -> Iterator[None]:
    """Every write to a file raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def block(first: int, last: int) -> Metrics:
    """Two series of one block, `last` included."""
    steps = range(first, last + 1)
    values = {GLOSS: [step / 7 for step in steps], DLOSS: [1 / step for step in steps]}
    return Metrics(list(steps), [CREATED + step for step in steps], values)


def picture(step: int) -> Image:
    pixels = np.random.default_rng(step).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image(FIXED_NOISE, step, CREATED + step, pixels)


def training(blocks: int, first: int = 1) -> list[Event]:
    """A small training: blocks of three steps, some pictures, the means of some epochs."""
    events: list[Event] = []
    for number in range(first, first + blocks):
        step = 3 * number
        events.append(block(step - 2, step))
        if number % 5 == 0:
            events.append(Metrics([step], [CREATED + step], {EPOCH_GLOSS: [step / 7]}))
            events.append(Fields({"sys/epoch": number // 5}))
        if number % 10 == 0:
            events.append(picture(step))
    return events


def opening() -> list[Event]:
    return [
        Fields({"sys/status": "running", "config/seed": 1}),
        Text(GENERATOR_ARCH, "Generator()\n"),
        Text(DISCRIMINATOR_ARCH, "Discriminator()\n"),
    ]


def write_all(tracker: FanOut, events: Sequence[Event]) -> None:
    for event in events:
        tracker.write(event)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def assert_whole(remote: Remote, blocks: int) -> None:
    """The remote was sent the opening and `blocks` of training: all, once, each series in order."""
    assert remote.steps(GLOSS) == remote.steps(DLOSS) == list(range(1, 3 * blocks + 1))
    assert remote.steps(EPOCH_GLOSS) == list(range(15, 3 * blocks + 1, 15))
    assert sorted(remote.images()) == list(range(30, 3 * blocks + 1, 30))
    assert sorted(remote.texts()) == sorted([GENERATOR_ARCH, DISCRIMINATOR_ARCH])
    assert remote.fields()["config/seed"] == 1
    assert remote.fields()["sys/epoch"] == blocks // 5


def assert_journal_whole(folder: Path, blocks: int) -> None:
    replayed = Remote()
    for event in read_events(folder):
        replayed.write(event)
    assert_whole(replayed, blocks)


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
            return any(isinstance(known, Text) and known == event for known in read_events(folder))


def parts(event: Event) -> int:
    """A remote may get the steps of several blocks as one."""
    return len(event.steps) if isinstance(event, Metrics) else 1


def test_the_journal_has_an_event_before_a_remote_sees_it(
    journal: Journal, fan_out: Callable[..., FanOut]
) -> None:
    found: list[bool] = []

    class Checking(Remote):
        def write(self, event: Event) -> None:
            found.extend([in_journal(journal.folder, event)] * parts(event))
            super().write(event)

    remote = Checking()
    tracker = fan_out({"remote": lambda: remote})
    tracker.write(block(1, 3))
    wait_until(lambda: remote.steps(GLOSS) == [1, 2, 3])  # from here on by the queue
    write_all(tracker, [*opening(), *training(20)[1:]])
    tracker.close("finished")
    assert_whole(remote, 20)
    assert all(found)
    assert len(found) >= sum(map(parts, [*opening(), *training(20)]))


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_a_remote_that_raises_is_reported_once_and_harms_nobody(
    method: str, journal: Journal, fan_out: Callable[..., FanOut], reports: list[str]
) -> None:
    healthy = Remote()
    tracker = fan_out({"failing": partial(Failing, method), "healthy": lambda: healthy})
    write_all(tracker, [*opening(), *training(40)])
    tracker.close("finished")

    assert reports == [
        "Tracking to failing stopped: ConnectionError: the server is gone. "
        "The training goes on, and the local journal has everything."
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


def test_a_remote_that_comes_back_gets_what_it_missed_and_is_told_of_once(
    journal: Journal, fan_out: Callable[..., FanOut], reports: list[str]
) -> None:
    remote = Restarting()
    tracker = fan_out({"remote": remote.opened}, queue_length=4, retry=0.05)
    write_all(tracker, [*opening(), *training(10)])
    for first in (11, 21):
        wait_until(lambda first=first: remote.steps(GLOSS)[-1:] == [3 * (first - 1)])
        remote.down.set()
        write_all(tracker, training(10, first))
        wait_until(lambda: len(reports) == 1)
        time.sleep(0.2)  # it is tried in vain, and no more is said
        remote.down.clear()
    tracker.close("finished")
    assert len(reports) == 1
    assert_whole(remote, 30)
    assert remote.status == "finished"
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "complete"


def test_a_remote_that_is_back_only_at_the_end_gets_all(
    journal: Journal, fan_out: Callable[..., FanOut], reports: list[str]
) -> None:
    remote = Restarting()
    remote.down.set()
    tracker = fan_out({"remote": remote.opened})
    write_all(tracker, [*opening(), *training(20)])
    wait_until(lambda: len(reports) == 1)
    remote.down.clear()
    tracker.close("finished")
    assert_whole(remote, 20)
    assert remote.status == "finished"
    assert read_fields(journal.folder)[f"{TRACKERS}/remote"] == "complete"


def test_an_sdk_that_leaves_by_sys_exit_is_not_taken_for_complete(
    journal: Journal, fan_out: Callable[..., FanOut], reports: list[str]
) -> None:
    tracker = fan_out({"leaving": lambda: sys.exit("no credentials")})
    tracker.close("finished")
    assert len(reports) == 1
    state = read_fields(journal.folder)[f"{TRACKERS}/leaving"]
    assert state == "incomplete: SystemExit: no credentials"


@pytest.mark.parametrize("method", ["open", "write", "close"])
def test_a_remote_that_never_answers_holds_up_neither_the_steps_nor_the_end(
    method: str,
    journal: Journal,
    fan_out: Callable[..., FanOut],
    reports: list[str],
    over: threading.Event,
) -> None:
    healthy = Remote()
    remotes = {"stuck": partial(Stuck, method, over), "healthy": lambda: healthy}
    tracker = fan_out(remotes, queue_length=8, patience=1)
    began = time.monotonic()
    write_all(tracker, [*opening(), *training(100)])
    tracker.close("finished")
    assert time.monotonic() - began < 60

    assert reports == [
        "Tracking to stuck stopped: it has not answered for 1 s. "
        "The training goes on, and the local journal has everything."
    ]
    assert_journal_whole(journal.folder, 100)
    assert_whole(healthy, 100)
    assert healthy.status == "finished"
    state = read_fields(journal.folder)[f"{TRACKERS}/stuck"]
    assert state == "incomplete: it has not answered for 1 s"


def test_a_remote_that_stalls_is_reported_while_the_training_lasts(
    fan_out: Callable[..., FanOut], reports: list[str], over: threading.Event
) -> None:
    stuck = Stuck("write", over)
    tracker = fan_out({"stuck": lambda: stuck}, queue_length=2, patience=0.2)
    steps = iter(range(1, 1_000_000))

    def reported() -> bool:
        tracker.write(block(step := next(steps), step))
        return bool(reports)

    wait_until(reported)
    over.set()  # it answers after all, and gets the rest at the end
    tracker.close("finished")
    assert len(reports) == 1
    assert sorted(set(stuck.steps(GLOSS))) == list(range(1, next(steps)))
    assert stuck.status == "finished"


def test_a_stalled_remote_that_fails_at_last_is_reported_once(
    fan_out: Callable[..., FanOut], reports: list[str], over: threading.Event
) -> None:
    class Dying(Stuck):
        def write(self, event: Event) -> None:
            super().write(event)
            raise ConnectionError

    dying = Dying("write", over)
    tracker = fan_out({"dying": lambda: dying}, patience=0.2)
    tracker.close("finished")
    assert len(reports) == 1
    over.set()
    wait_until(lambda: "tracker-dying" not in [thread.name for thread in threading.enumerate()])
    assert len(dying.events) == 1
    assert len(reports) == 1


def test_a_remote_that_had_nothing_to_do_has_not_stalled(reports: list[str]) -> None:
    journal, remote = Remote(), Remote()
    tracker = FanOut(
        journal,
        {"remote": lambda: remote},
        lambda: list(journal.events),
        reports.append,
        queue_length=1,
        patience=1,
    )
    tracker.write(block(1, 3))
    wait_until(lambda: remote.steps(GLOSS) == [1, 2, 3])
    time.sleep(1.1)
    with switch_interval(10):  # the queue overflows before the remote has its first turn
        write_all(tracker, [*opening(), *training(10)[1:]])
    tracker.close("finished")
    assert reports == []
    assert_whole(remote, 10)


@pytest.mark.parametrize("seed", range(6))
def test_what_does_not_fit_the_queue_comes_from_the_journal(
    seed: int,
    journal: Journal,
    fan_out: Callable[..., FanOut],
    reports: list[str],
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

    assert reports == []
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


def test_a_journal_that_cannot_be_written_is_reported_once_and_the_remotes_go_on(
    journal: Journal, fan_out: Callable[..., FanOut], reports: list[str]
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

    assert reports == ["The local journal cannot be written: OSError: [Errno 27] File too large"]
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
    tmp_path: Path, journal: Journal, reports: list[str]
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
        reports.append,
        queue_length=2,
    )
    assert tracker.held().last_step[GLOSS] == 120
    tracker.write(Fields({"sys/status": "running"}))
    write_all(tracker, training(20, first=41))
    tracker.close("finished")

    assert reports == []
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
