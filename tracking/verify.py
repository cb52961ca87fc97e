"""Compares a run in a remote store with the run's journal, value by value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tracking.backends import load_backend
from tracking.backends.local import read_events
from tracking.events import TRACKERS, Event, Fields, File, Image, Metrics, Text
from tracking.replay import sha256_of
from tracking.wording import plural

_Content: TypeAlias = dict[str, dict[object, str]]
"""Name of a series, such as a metric's path -> step -> the value as text, or a digest."""


def find_differences(folder: Path, remote: str) -> list[str]:
    """Where a remote differs from the journal in `folder`: one line per metric or series.

    If a value was measured again at a step, the latest counts. An empty list means that both are
    the same.
    """
    journal = _content(read_events(folder))
    remote_content = _content(load_backend(remote).load_events(folder.parent, folder.name))
    lines = []
    for name in sorted(journal.keys() | remote_content.keys()):
        expected, actual = journal.get(name, {}), remote_content.get(name, {})
        differing = [key for key in expected.keys() & actual.keys() if expected[key] != actual[key]]
        parts = [
            f"{plural(len(keys), 'value')} {what} ({_examples(keys)})"
            for keys, what in (
                (differing, "differ"),
                (expected.keys() - actual.keys(), "missing there"),
                (actual.keys() - expected.keys(), "only there"),
            )
            if keys
        ]
        if parts:
            lines.append(f"{name}: {', '.join(parts)}")
    return lines


def _content(events: Iterable[Event]) -> _Content:
    content: _Content = {}
    for event in events:
        match event:
            case Fields(values):
                _add(content, "fields", {path: repr(value) for path, value in values.items()})
            case Metrics(steps, _, values):
                for path, series in values.items():
                    numbers = (repr(float(value)) for value in series)
                    _add(content, path, dict(zip(steps, numbers, strict=True)))
            case Image(path, step, _, pixels):
                _add(content, path, {step: f"{pixels.shape} {_digest(pixels.tobytes())}"})
            case Text(path, text):
                _add(content, "texts and files", {path: _digest(text.encode())})
            case File(path, source):
                _add(content, "texts and files", {path: sha256_of(source)})
    # How far each remote got is private to the journal.
    fields = content.get("fields", {})
    content["fields"] = {k: v for k, v in fields.items() if not str(k).startswith(TRACKERS)}
    return content


def _add(content: _Content, name: str, values: Mapping[Any, str]) -> None:
    content.setdefault(name, {}).update(values)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _examples(keys: Iterable[object]) -> str:
    shown = sorted(keys, key=lambda key: (isinstance(key, str), key))
    return ", ".join(map(str, shown[:3])) + (", ..." if len(shown) > 3 else "")
