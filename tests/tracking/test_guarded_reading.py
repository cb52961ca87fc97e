"""Whatever a library raises while it reads a store becomes one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.store_mutations import event_file
from tracking.backends import load_backend, load_reader, tensorboard
from tracking.errors import ServerError, StoreError, StoreWarning
from tracking.events import Event, Fields
from tracking.guarded_reading import GuardedBackend
from tracking.testing.sample_run import RUN, block, write

READS: dict[str, Callable[[Any], object]] = {
    "load_runs": lambda backend: backend.load_runs("there"),
    "load_steps": lambda backend: backend.load_steps("there", "a-run"),
    "load_tails": lambda backend: backend.load_tails("there", "a-run", ["a"], 0.1),
    "load_last_values": lambda backend: backend.load_last_values("there", "a-run"),
    "load_events": lambda backend: list(backend.load_events("there", "a-run")),
}


class Broken:
    """A backend all of whose functions raise an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., object]:
        def fail(*_: object) -> Iterator[Event]:
            raise self._error

        def fail_later(*_: object) -> Iterator[Event]:
            yield Fields({})
            raise self._error

        return fail_later if name == "load_events" else fail


@pytest.mark.parametrize("name", READS)
def test_an_error_of_a_library_names_what_cannot_be_read(name: str) -> None:
    for error in (ValueError("bad\n  magic"), SystemExit("bad magic")):
        with pytest.raises(StoreError, match=r"mlflow cannot read the runs? .*in there: bad magic"):
            READS[name](GuardedBackend("mlflow", Broken(error)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", READS)
def test_what_is_said_already_and_the_users_own_interrupt_are_left_alone(name: str) -> None:
    for error in (ServerError("down"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            READS[name](GuardedBackend("mlflow", Broken(error)))  # type: ignore[arg-type]


def test_a_record_that_is_none_of_tensorboards_costs_its_run_alone(tmp_path: Path) -> None:
    write(tensorboard.open_tracker(RUN, tmp_path), [block(1, 2)])
    damaged = tmp_path / "tensorboard" / "damaged"
    damaged.mkdir()
    (damaged / "events.out.tfevents.000000").write_bytes(event_file([b"\xff" * 9]))
    for name in ("tensorboard", "foreign.tensorboard"):
        with pytest.warns(StoreWarning, match="damaged"):
            runs = load_reader(name).load_runs(tmp_path)
        assert list(runs.index) == ([RUN.id] if name == "tensorboard" else [])
    with pytest.raises(StoreError, match="tensorboard cannot read the run damaged in"):
        load_backend("tensorboard").load_steps(tmp_path, "damaged")
