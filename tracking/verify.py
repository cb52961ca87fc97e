"""Compares what a remote holds of a run with the run's journal, value for value."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tracking.backends import load_backend
from tracking.backends.local import read_events
from tracking.events import TRACKERS, Event, Fields, File, Image, Metrics, Text
from tracking.wording import plural

_Content: TypeAlias = dict[str, dict[object, str]]
"""By what holds it, such as a metric's path: what is there, by step, as a text or a digest."""


def find_differences(folder: Path, remote: str) -> list[str]:
    """Where a remote differs from the journal in `folder`: one line per metric or series.

    Of values that were measured again at a step, the latest counts. An empty list means that
    both hold the same.
    """
    journal = _content(read_events(folder))
    there = _content(load_backend(remote).load_events(folder.parent, folder.name))
    lines = []
    for name in sorted(journal.keys() | there.keys()):
        expected, found = journal.get(name, {}), there.get(name, {})
        other = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
        parts = [
            f"{plural(len(keys), 'value')} {what} ({_examples(keys)})"
            for keys, what in (
                (other, "not the same there"),
                (expected.keys() - found.keys(), "missing there"),
                (found.keys() - expected.keys(), "only there"),
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
                _add(content, "texts and files", {path: _digest(source.read_bytes())})
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
