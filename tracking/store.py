"""The store: the folder in which runs land, and how a person refers to one of them."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracking.backends.local import amend_fields, read_fields, run_folders
from tracking.errors import StoreError
from tracking.lock import locked
from tracking.tracker import Run

TRASH = ".trash"
_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no two of them look alike


def create_run(store: Path, recipe: str, name: str | None, created: int) -> tuple[Run, Path]:
    """Make the folder of a new run: `<recipe>-<six random characters>`.

    Raises StoreError where the store cannot be written to.
    """
    identifier = new_identifier(recipe)
    folder = store / identifier
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {error.strerror}.\n"
            "Give a folder of your own with --store."
        ) from error
    return Run(identifier, name or identifier, created), folder


def new_identifier(name: str) -> str:
    """What is plain in a name, and six random characters."""
    # Neptune takes ids of up to 36 characters.
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:29].strip("-") or "run"
    return f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def find_run(store: Path, reference: str) -> Path:
    """The folder of the run that a user means, as `choose_run` has it.

    Raises StoreError where there is none or more than one.
    """
    folders = run_folders(store)
    if reference in {folder.name for folder in folders}:
        return store / reference
    fields = {folder.name: read_fields(folder) for folder in folders}
    ordered = sorted(fields, key=lambda run: str(fields[run].get("sys/created")))
    names = {run: str(fields[run].get("sys/name")) for run in ordered}
    return store / choose_run(reference, names, str(store))


def choose_run(reference: str, names: Mapping[str, str], place: str) -> str:
    """The id of the run that a user means.

    reference: an id, the start of an id or of its random part, a name, or `last`.
    names: id -> name, the oldest first. place: where they are, for the error.
    Raises StoreError where there is none or more than one.
    """
    if not names:
        raise StoreError(f"There are no runs in {place}. Start one with: dcgan train")
    if reference == "last":
        return list(names)[-1]
    if reference in names:
        return reference
    named = [run for run, name in names.items() if name == reference]
    started = [run for run in names if reference and _starts(run, reference)]
    found = named or started
    if len(found) == 1:
        return found[0]
    if found:
        raise StoreError(
            f"{reference!r} could be any of {len(found)} runs:\n"
            + "\n".join(f"  {run}" for run in sorted(found)[:10])
            + "\nType more of the one that you mean."
        )
    known = ", ".join(sorted(names)[-5:])
    raise StoreError(
        f"There is no run {reference!r} in {place}.\n"
        f"A run is named by its id, the start of its id, its name, or 'last'. Here are: {known}"
    )


def check_label(text: str) -> str:
    """A name, a group or a tag as it is. Raises StoreError for one that would steer terminals."""
    if not text.strip() or not text.isprintable():
        raise StoreError(f"{text!r} cannot be a name, a group or a tag: use plain text.")
    return text


def tag_run(folder: Path, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Change the tags of a run that is not being written; return those that it has then."""
    with locked(folder, patience=0):
        now = read_fields(folder, alive=False).get("sys/tags")
        tags = [str(tag) for tag in now] if isinstance(now, list) else []
        tags += [check_label(tag) for tag in add if tag not in tags]
        tags = [tag for tag in tags if tag not in remove]
        amend_fields(folder, {"sys/tags": tags})
    return tags


def rename_run(folder: Path, name: str) -> None:
    """Call a run that is not being written by another name."""
    with locked(folder, patience=0):
        amend_fields(folder, {"sys/name": check_label(name)})


def trash_run(folder: Path) -> None:
    """Take a run that is not being written out of the store, into its trash."""
    with locked(folder, patience=0):
        pass  # nobody writes it
    trash = folder.parent / TRASH
    trash.mkdir(exist_ok=True)
    folder.rename(trash / folder.name)


def trashed_runs(store: Path) -> list[Path]:
    """The folders in the trash."""
    return sorted(path for path in (store / TRASH).glob("*") if path.is_dir())


def restore_run(store: Path, identifier: str) -> Path:
    """Bring a run back from the trash. Raises StoreError where it is not there."""
    found = [folder for folder in trashed_runs(store) if folder.name == identifier]
    if not found:
        inside = ", ".join(folder.name for folder in trashed_runs(store)[:10]) or "nothing"
        raise StoreError(f"There is no run {identifier!r} in the trash. In it: {inside}")
    if (store / identifier).exists():
        raise StoreError(f"{store} has another run {identifier!r} by now.")
    return found[0].rename(store / identifier)


def purge_trash(store: Path) -> None:
    """Delete all that is in the trash."""
    shutil.rmtree(store / TRASH)


def _starts(identifier: str, reference: str) -> bool:
    return identifier.startswith(reference) or identifier.rpartition("-")[2].startswith(reference)
