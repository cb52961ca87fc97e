"""Trackers of other packages: which are found, and what reading with a bad one says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import load
from tests.support.plugin_packages import BACKEND, install
from tracking.backends import REMOTES, load_backend, tracker_names
from tracking.errors import StoreError
from tracking.plugins import installed_plugins
from tracking.sources import RunSource


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path, without packages yet."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_packages_are_found_without_being_imported(site: Path) -> None:
    before = tracker_names()
    install(site, "found", "raise AssertionError")
    install(site, "elsewhere", BACKEND, group="other.trackers")
    assert set(tracker_names()) == {*before, "found"}
    assert tracker_names()[: len(REMOTES)] == REMOTES
    assert installed_plugins()["found"].package == "lab-found 1.2"


@pytest.mark.parametrize("name", ["local", "mlflow", "neptune_export", "with space", "a.b", "ä"])
def test_a_name_that_is_ours_or_cannot_be_typed_is_left_out(site: Path, name: str) -> None:
    install(site, name, "")
    assert name not in installed_plugins()


def test_a_tracker_whose_package_is_gone_is_named() -> None:
    with pytest.raises(StoreError, match="no tracker 'gone' here: its package is not installed"):
        load_backend("gone")


READERS: dict[str, Callable[[Path], object]] = {
    "load_runs": lambda store: load_backend("odd").load_runs(store),
    "load_steps": lambda store: load_backend("odd").load_steps(store, "x"),
    "load_tails": lambda store: load_backend("odd").load_tails(store, "x", ["a"], 0.1),
    "load_last_values": lambda store: load_backend("odd").load_last_values(store, "x"),
    "load_events": lambda store: list(load_backend("odd").load_events(store, "x")),
}


@pytest.mark.parametrize("function", READERS)
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return None", "breaks the protocol of docs/backends.md: {} returned NoneType, not "),
        ("raise OSError('torn')", "failed in {}: OSError: torn"),
    ],
)
def test_a_reader_that_breaks_the_protocol_is_named(
    site: Path, function: str, body: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "plugin_odd", raising=False)
    install(site, "odd", f"{BACKEND}\ndef {function}(*arguments):\n    {body}\n")
    with pytest.raises(StoreError) as raised:
        READERS[function](site)
    assert str(raised.value).startswith("The tracker odd of lab-odd 1.2 ")
    assert problem.format(function) in str(raised.value)


def test_events_that_are_none_are_told(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "plugin_odd", raising=False)
    install(site, "odd", f"{BACKEND}\ndef load_events(*arguments):\n    yield 5\n")
    with pytest.raises(StoreError, match="load_events returned int, not an event"):
        list(load_backend("odd").load_events(site, "x"))


def test_runs_of_a_plugin_are_read_by_its_name(site: Path) -> None:
    install(site, "readable", BACKEND)
    with pytest.raises(StoreError, match="readable finds no runs of this program in"):
        load(RunSource("readable", site))
    with pytest.raises(StoreError, match=r"(?s)no backend 'other'.*There are: .*readable"):
        load(RunSource("other", site))
