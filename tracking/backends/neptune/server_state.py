"""What Neptune's server has of a run, and what is still in the client's queue.

A server reports how many pictures of a series it has, but not which. So each picture is listed in
a file before the client gets it: if the server has n pictures of a series, they are the first n in
the list.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.atomic_files import atomic_write
from tracking.backends.neptune.layout import NON_FINITE
from tracking.tracker import Held

if TYPE_CHECKING:
    import neptune


def held_by_server(client_run: neptune.Run, sent_pictures: Path) -> Held:
    """What the server has of a run; removes pictures that it lacks from the list."""
    from neptune.internal.backends.api_model import AttributeType

    backend, run_key = client_run._backend, (client_run._id, client_run.container_type)
    fetch_values = {
        AttributeType.FLOAT_SERIES: backend.get_float_series_values,
        AttributeType.STRING_SERIES: backend.get_string_series_values,
    }
    last: dict[str, int] = {}
    picture_counts: Counter[str] = Counter()
    files: set[str] = set()
    for attribute in backend.get_attributes(*run_key):
        path, series = attribute.path, (*run_key, attribute.path.split("/"))
        if attribute.type in fetch_values:
            metric = path.removeprefix(f"{NON_FINITE}/")
            step = _last_step(fetch_values[attribute.type], *series)
            last[metric] = max(step, last.get(metric, step))
        elif attribute.type is AttributeType.IMAGE_SERIES:
            picture_counts[path] = backend.get_image_series_values(*series, 0, 1).totalItemCount
        elif attribute.type is AttributeType.FILE:
            files.add(path)
    images = _confirmed_pictures(sent_pictures, picture_counts)
    return Held(last, frozenset(images), frozenset(files))


def note_picture(sent_pictures: Path, path: str, step: int) -> None:
    """Add a picture to the list, which must happen before the client gets it.

    Args:
        sent_pictures: The file with the list; created if it does not exist.
        path: The path of the picture's series.
        step: The picture's step.
    """
    sent_pictures.parent.mkdir(parents=True, exist_ok=True)
    with sent_pictures.open("a", encoding="utf-8") as notes:
        notes.write(json.dumps([path, step]) + "\n")


def discard_unsent(client_run: neptune.Run) -> None:
    """Delete what earlier processes queued for this run and never sent.

    The journal has all of it and sends it now; a later `neptune sync` would duplicate it.
    """
    own = queue_folder(client_run)
    for folder in own.parent.glob(f"run__{client_run._id}__*"):
        if folder.name != own.name:
            shutil.rmtree(folder)


def queue_folder(client_run: neptune.Run) -> Path:
    """The folder of the client's unsent data; the client removes it once all is sent."""
    return Path(client_run._op_processor.data_path)


def _last_step(fetch: Callable[..., Any], *series: Any) -> int:
    count = fetch(*series, 0, 1).totalItemCount
    return int(fetch(*series, count - 1, 1).values[-1].step) if count else -1


def _confirmed_pictures(sent_pictures: Path, counts: Counter[str]) -> list[tuple[str, int]]:
    """The pictures that the server has, the first of each series; others leave the list."""
    if not sent_pictures.exists():
        return []
    complete_lines, _, _ = sent_pictures.read_text(encoding="utf-8").rpartition("\n")
    remaining = counts.copy()
    confirmed = []
    for path, step in map(json.loads, complete_lines.splitlines()):
        if remaining[path] > 0:
            remaining[path] -= 1
            confirmed.append((str(path), int(step)))
    with atomic_write(sent_pictures) as temporary:
        lines = "".join(json.dumps(picture) + "\n" for picture in confirmed)
        temporary.write_text(lines, encoding="utf-8")
    return confirmed
