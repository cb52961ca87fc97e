"""The account of what a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tracking import replay
from tracking.events import (
    FIXED_NOISE,
    GENERATOR_ARCH,
    REAL,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
)
from tracking.replay import Ledger, sha256_of
from tracking.tracker import Held


def block(first: int, last: int, *paths: str) -> Metrics:
    """Steps from `first` to `last` included; values that tell the path and the step."""
    steps = list(range(first, last + 1))
    values = {path: [step + len(path) / 10 for step in steps] for path in paths}
    return Metrics(steps, [1000 * step for step in steps], values)


def picture(path: str, step: int) -> Image:
    return Image(path, step, 1000 * step, np.full((2, 2, 1), step, np.uint8))


def run() -> list[Event]:
    return [
        Fields({"config/seed": 1}),
        Text(GENERATOR_ARCH, "Generator()"),
        File("io_files/artifacts/recipe", Path(__file__)),
        block(1, 10, "a", "bb"),
        block(10, 10, "epoch"),
        picture(FIXED_NOISE, 5),
        picture(REAL, 5),
        block(11, 20, "a", "bb"),
        picture(FIXED_NOISE, 20),
    ]


def points(events: Sequence[Event]) -> list[tuple[str, int, int, float]]:
    return sorted(
        (path, step, time, value)
        for event in events
        if isinstance(event, Metrics)
        for path, values in event.values.items()
        for step, time, value in zip(event.steps, event.times, values, strict=True)
    )


def test_an_empty_store_lacks_everything() -> None:
    events = run()
    assert list(Ledger(Held()).missing(events)) == events


def test_nothing_comes_twice_but_fields() -> None:
    ledger = Ledger(Held())
    events = run()
    for event in ledger.missing(events):
        assert event in events
    assert list(ledger.missing(events)) == [events[0]]
    newer = [Fields({"sys/status": "finished"}), *events, block(19, 22, "a")]
    assert list(ledger.missing(newer)) == [newer[0], events[0], block(21, 22, "a")]


def test_events_that_repeat_within_one_stream_pass_once() -> None:
    events = run()[1:]
    assert list(Ledger(Held()).missing([*events, *events])) == events


def test_a_block_is_cut_for_each_path_after_its_last_step() -> None:
    held = Held(last_step={"a": 3, "bb": 7, "ccc": 10})
    parts = list(Ledger(held).missing([block(1, 10, "bb", "ccc", "a", "dddd", "ee")]))
    assert points(parts) == sorted(
        points([block(4, 10, "a"), block(8, 10, "bb"), block(1, 10, "dddd", "ee")])
    )
    assert len(parts) == 3  # paths that lack the same steps stay in one block


def test_a_block_cut_by_a_gap_in_its_steps_is_cut_by_step_and_not_by_position() -> None:
    sparse = Metrics([5, 50, 500], [1, 2, 3], {"a": [0.5, 0.25, 0.125]})
    held = Held(last_step={"a": 60})
    assert list(Ledger(held).missing([sparse])) == [Metrics([500], [3], {"a": [0.125]})]


def test_what_was_measured_again_at_a_later_time_is_missing() -> None:
    held = Held(last_step={"a": 60}, last_time={"a": 60_000})
    again = Metrics([58, 59, 60, 61], [58_000, 60_001, 60_002, 60_003], {"a": [1, 2, 3, 4]})
    ledger = Ledger(held)
    assert list(ledger.missing([block(1, 60, "a"), again])) == [
        Metrics([59, 60, 61], [60_001, 60_002, 60_003], {"a": [2, 3, 4]})
    ]
    assert list(ledger.missing([block(1, 60, "a"), again])) == []


@pytest.mark.parametrize("count", range(1, 10))
def test_a_store_that_took_a_part_gets_exactly_the_rest(count: int) -> None:
    """A new ledger, made from what the store holds, continues where the first one stopped."""
    events = run()
    sent = list(Ledger(Held()).missing(events))[:count]
    taken = Held(
        last_step={path: step for path, step, _, _ in points(sent)},
        images=frozenset((event.path, event.step) for event in sent if isinstance(event, Image)),
        files=frozenset(event.path for event in sent if isinstance(event, Text | File)),
    )
    assert list(Ledger(taken).missing(events))[1:] == [
        event for event in events[1:] if event not in sent
    ]


def test_an_event_whose_writing_raised_is_still_missing() -> None:
    ledger = Ledger(Held())
    events = run()[1:]
    for number, refused in enumerate(events):
        with pytest.raises(ConnectionError):
            for event in ledger.missing(events):
                assert event is refused or event == refused
                raise ConnectionError
        passed = ledger.missing(events)
        assert next(passed) == refused
        next(passed, None)  # requesting the next one confirms that this one was written
        assert list(ledger.missing(events[: number + 1])) == []


def test_a_part_of_a_block_that_was_refused_is_still_missing() -> None:
    ledger = Ledger(Held(last_step={"a": 3}))
    complete = block(1, 10, "a", "bb")
    parts = ledger.missing([complete])
    first = next(parts)
    second = next(parts)  # the first was written, the second is refused
    assert points([first, second]) == points([block(4, 10, "a"), block(1, 10, "bb")])
    assert list(ledger.missing([complete])) == [second]


def test_each_sending_of_a_file_reads_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[str] = []

    def counted(file: Path) -> str:
        digests.append(sha256_of(file))
        return digests[-1]

    monkeypatch.setattr(replay, "sha256_of", counted)
    file = File("io_files/artifacts/recipe", tmp_path / "recipe.toml")
    ledger = Ledger(Held())
    for content, sent, hashed in (("3", 1, 1), ("3", 0, 1), ("9", 1, 1)):
        file.source.write_text(content)
        digests.clear()
        assert len(list(ledger.missing([file]))) == sent
        assert len(digests) == hashed
    of_unknown_content = Ledger(Held(files=frozenset([file.path])))
    digests.clear()
    assert list(of_unknown_content.missing([file])) == digests == []


def test_a_file_that_changes_while_it_is_written_is_sent_once_more(tmp_path: Path) -> None:
    file = File("io_files/artifacts/recipe", tmp_path / "recipe.toml")
    file.source.write_text("epochs = 3")
    ledger = Ledger(Held())
    for _ in ledger.missing([file]):
        file.source.write_text("epochs = 9")
    assert list(ledger.missing([file])) == [file]
    assert list(ledger.missing([file])) == []
