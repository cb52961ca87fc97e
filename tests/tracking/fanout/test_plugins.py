"""Trackers of other packages that break, hang, or break the protocol: none harms the run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.plugin_packages import BACKEND, install
from tests.support.remotes import Remote
from tests.support.small_training import (
    RUN,
    assert_journal_whole,
    assert_whole,
    opening,
    training,
    write_all,
)
from tracking.backends import load_backend
from tracking.backends.local import Journal, read_fields
from tracking.events import TRACKERS, Image
from tracking.fanout import FanOut
from tracking.tracker import Tracker

PACKAGE = "of lab-odd 1.2"
PROTOCOL = f"{PACKAGE} breaks the protocol of docs/backends.md:"
BAD = {
    "no module": ("import no_such_sdk", f"{PACKAGE} cannot be imported: ModuleNotFoundError: "),
    "a syntax error": ("def", f"{PACKAGE} cannot be imported: SyntaxError: "),
    "an exit": ("raise SystemExit", f"{PACKAGE} cannot be imported: SystemExit: no reason given"),
    "no functions": ("load_runs = 1", f"{PROTOCOL} its module has no load_events, "),
    "no tracker": (
        BACKEND + "open_tracker = lambda *run: None",
        f"{PROTOCOL} its NoneType has no held, write, close",
    ),
    "nothing held": (
        BACKEND + "Tracker.held = lambda self: {}",
        f"{PROTOCOL} held returned dict, not Held",
    ),
    "a failing write": (
        BACKEND + "Tracker.write = lambda self, event: 1 / 0",
        f"{PACKAGE} failed in write: ZeroDivisionError: division by zero",
    ),
    "a failing close": (
        BACKEND + "Tracker.close = lambda self: None",
        f"{PACKAGE} failed in close: TypeError: ",
    ),
    "an interrupt": (
        BACKEND
        + "def interrupt(*arguments):\n    raise KeyboardInterrupt\nTracker.held = interrupt",
        "Tracking to odd stopped: KeyboardInterrupt.",
    ),
}
HANGING = """
import threading
released = threading.Event()
Tracker.write = lambda self, event: released.wait()
"""
CHANGING = """
def write(self, event):
    if hasattr(event, "values"):
        for series in event.values.values():
            if isinstance(series, list):
                series.clear()
        event.values.clear()
    if hasattr(event, "pixels"):
        event.pixels[:] = 0
Tracker.write = write
"""


@pytest.fixture
def plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Callable[[], Tracker]]:
    """Installs a package with the tracker `odd`; returns what opens that tracker."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "plugin_odd", raising=False)

    def build(code: str) -> Callable[[], Tracker]:
        install(site, "odd", code)
        return lambda: load_backend("odd").open_tracker(RUN, tmp_path)

    return build


@pytest.mark.parametrize("case", BAD)
def test_a_bad_plugin_is_reported_in_one_sentence_that_names_its_package(
    case: str,
    plugin: Callable[[str], Callable[[], Tracker]],
    journal: Journal,
    fan_out: Callable[..., FanOut],
    warnings: list[str],
) -> None:
    code, problem = BAD[case]
    healthy = Remote()
    tracker = fan_out({"odd": plugin(code), "healthy": lambda: healthy})
    write_all(tracker, [*opening(), *training(10)])
    tracker.close("finished")

    [warning] = warnings
    assert problem in warning
    assert "\n" not in warning
    assert warning.endswith("Training continues, and the local journal has everything.")
    assert_journal_whole(journal.folder, 10)
    assert_whole(healthy, 10)
    assert str(read_fields(journal.folder)[f"{TRACKERS}/odd"]).startswith("incomplete: ")


def test_a_plugin_that_hangs_is_left_behind(
    plugin: Callable[[str], Callable[[], Tracker]],
    journal: Journal,
    fan_out: Callable[..., FanOut],
    warnings: list[str],
) -> None:
    tracker = fan_out({"odd": plugin(BACKEND + HANGING)}, patience=0.1, opening_patience=30)
    write_all(tracker, [*opening(), *training(10)])
    tracker.close("finished")
    sys.modules["plugin_odd"].released.set()

    assert [warning.partition(":")[0] for warning in warnings] == ["Tracking to odd stopped"]
    assert_journal_whole(journal.folder, 10)


def test_a_plugin_that_changes_its_events_changes_no_others(
    plugin: Callable[[str], Callable[[], Tracker]],
    journal: Journal,
    fan_out: Callable[..., FanOut],
    warnings: list[str],
) -> None:
    healthy = Remote()
    tracker = fan_out({"odd": plugin(BACKEND + CHANGING), "healthy": lambda: healthy})
    write_all(tracker, [*opening(), *training(10)])
    tracker.close("finished")

    assert warnings == []
    assert_whole(healthy, 10)
    pictures = [event for event in healthy.events if isinstance(event, Image)]
    assert pictures
    assert all(picture.pixels.any() for picture in pictures)
    assert_journal_whole(journal.folder, 10)
