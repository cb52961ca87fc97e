"""The store: the folder that holds the runs, and how a user refers to one of them."""

from __future__ import annotations

import itertools
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tracking.backends.local import amend_fields, read_fields, readable_runs, run_folders
from tracking.errors import StoreError, reason_not_written
from tracking.lock import locked
from tracking.redaction import make_redactor
from tracking.tracker import Run

TRASH = ".trash"
_DEFAULT = "runs"
"""The store of commands that name none."""

_NUMBER_IN_TRASH = re.compile(r"\.\d+$")
_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # without characters that look alike


def create_run(store: Path, recipe: str, name: str | None, created: int) -> tuple[Run, Path]:
    """Create the folder of a new run: `<recipe>-<six random characters>`.

    Args:
        store: The store; created if it does not exist.
        recipe: The name of the recipe, with which the run's id begins.
        name: What the user calls the run; its id if None.
        created: Milliseconds since the Unix epoch.

    Returns:
        The run and its folder.

    Raises:
        StoreError: The store cannot be written to.
    """
    identifier = new_identifier(recipe)
    folder = store / identifier
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {reason_not_written(folder, error)}.\n"
            "Give a folder of your own with --store."
        ) from error
    return Run(identifier, name or identifier, created), folder


def new_identifier(name: str) -> str:
    """A unique id: the name in lower case with hyphens, and six random characters."""
    # Neptune takes ids of up to 36 characters.
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:29].strip("-") or "run"
    return f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def find_run(store: Path, reference: str) -> Path:
    """The folder of the run that a user refers to, as `choose_run` describes.

    Raises StoreError if no run matches or more than one.
    """
    if not isinstance(reference, str):  # in Python a path, or another program's number
        raise StoreError(
            f"{reference!r} is no run: use an id, the start of an id, a name, or 'last'."
        )
    if reference in {folder.name for folder in run_folders(store)}:
        return store / reference
    fields = {folder.name: fields for folder, fields in readable_runs(store).items()}
    ordered = sorted(fields, key=lambda run: str(fields[run].get("sys/created")))
    names = {run: str(fields[run].get("sys/name")) for run in ordered}
    return store / choose_run(reference, names, str(store))


def no_runs(place: str | Path) -> StoreError:
    """The error of a store without runs, which may be a mistyped name.

    place: The store as the user wrote it, or the address of a server.
    """
    name = str(place)
    option = "" if name == _DEFAULT else f" --store {shlex.quote(name)}"
    absent = "" if "://" in name or Path(name).exists() else ", which does not exist"
    return StoreError(f"There are no runs in {name}{absent}. Start one with: dcgan train{option}")


def choose_run(reference: str, names: Mapping[str, str], place: str) -> str:
    """The id of the run that a user refers to.

    Args:
        reference: An id, the start of an id or of its random part, a name, or `last`.
        names: Each run's name by id, the oldest run first.
        place: Where the runs are, for messages.

    Raises:
        StoreError: No run matches, or more than one.
    """
    if not names:
        raise no_runs(place)
    if reference == "last":
        return list(names)[-1]
    if reference in names:
        return reference
    by_name = [run for run, name in names.items() if name == reference]
    by_id = [run for run in names if reference and _starts(run, reference)]
    matches = by_name or by_id
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise StoreError(
            f"{reference!r} could be any of {len(matches)} runs:\n"
            + "\n".join(f"  {run}" for run in sorted(matches)[:10])
            + "\nType more of its id."
        )
    examples = ", ".join(sorted(names)[-5:])
    raise StoreError(
        f"There is no run {reference!r} in {place}.\n"
        f"Use an id, the start of an id, a name, or 'last'. Some ids are: {examples}"
    )


def check_label(text: str) -> str:
    """Return a name, group or tag unchanged; raises StoreError if it has control characters."""
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise StoreError(f"{text!r} cannot be a name, a group or a tag: use plain text.")
    return text


def check_name(name: str) -> str:
    """Return a run's name unchanged; raises StoreError if it could not be found by that name."""
    if name == "last":
        raise StoreError("A run cannot be named 'last', which stands for the newest run.")
    return check_label(name)


def tag_run(folder: Path, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Add and remove tags of a run that is not being written.

    Args:
        folder: The run's folder.
        add: Tags to add, without secrets; those that the run has already are ignored.
        remove: Tags to remove; those that the run lacks are ignored.

    Returns:
        The run's tags afterwards.

    Raises:
        StoreError: The run is being written, or a tag has control characters.
    """
    with locked(folder):
        current = read_fields(folder, alive=False).get("sys/tags")
        tags = [str(tag) for tag in current] if isinstance(current, list) else []
        redact = make_redactor()
        tags += map(redact, map(check_label, add))
        tags = [tag for tag in dict.fromkeys(tags) if tag not in remove]
        amend_fields(folder, {"sys/tags": tags})
    return tags


def rename_run(folder: Path, name: str) -> str:
    """Rename a run that is not being written; returns the name without secrets."""
    new_name = make_redactor()(check_name(name))
    with locked(folder):
        amend_fields(folder, {"sys/name": new_name})
    return new_name


def trash_run(folder: Path) -> None:
    """Move a run that is not being written to the store's trash.

    A run of the same id in the trash gets a number: `<id>.1` is the one that was deleted first.
    """
    with locked(folder):
        pass  # now no other process writes it
    target = folder.parent / TRASH / folder.name
    target.parent.mkdir(exist_ok=True)
    if target.exists():  # an imported run, deleted before
        numbers = itertools.count(1)
        earlier = (target.with_name(f"{target.name}.{number}") for number in numbers)
        target.rename(next(path for path in earlier if not path.exists()))
    folder.rename(target)


def trashed_runs(store: Path) -> list[Path]:
    """The folders in the trash."""
    return sorted(path for path in (store / TRASH).glob("*") if path.is_dir())


def restore_run(store: Path, identifier: str) -> Path:
    """Move a run back from the trash.

    Args:
        store: The store.
        identifier: The run's id, or the start of it.

    Raises:
        StoreError: There is no such run, or there are several.
    """
    trashed = trashed_runs(store)
    matches = [folder for folder in trashed if folder.name == identifier]
    if identifier and not matches:
        matches = [folder for folder in trashed if folder.name.startswith(identifier)]
    if len(matches) != 1:
        held = ", ".join(folder.name for folder in (matches or trashed)[:10])
        if matches:
            raise StoreError(f"{identifier!r} could be any of these in the trash: {held}.")
        raise StoreError(
            f"There is no run {identifier!r} in the trash of {store}, which "
            f"{f'holds {held}' if held else 'is empty'}."
        )
    run = _NUMBER_IN_TRASH.sub("", matches[0].name)  # a copied run may be called <id>.bak
    if (store / run).exists():
        raise StoreError(
            f"{store} already has a run {run!r}; move that one out of the store first."
        )
    return matches[0].rename(store / run)


def purge_trash(store: Path) -> None:
    """Delete everything in the trash."""
    shutil.rmtree(store / TRASH)


def _starts(identifier: str, reference: str) -> bool:
    return identifier.startswith(reference) or identifier.rpartition("-")[2].startswith(reference)
