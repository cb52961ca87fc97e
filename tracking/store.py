"""The store: the folder in which runs land, and how a person refers to one of them."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from tracking.backends.local import read_fields, run_folders
from tracking.errors import StoreError
from tracking.tracker import Run

_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no two of them look alike


def create_run(store: Path, recipe: str, name: str | None, created: int) -> tuple[Run, Path]:
    """Make the folder of a new run: `<recipe>-<six random characters>`.

    Raises StoreError where the store cannot be written to.
    """
    # Neptune takes ids of up to 36 characters.
    stem = re.sub(r"[^a-z0-9]+", "-", recipe.lower()).strip("-")[:29].strip("-") or "run"
    identifier = f"{stem}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"
    folder = store / identifier
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {error.strerror}.\n"
            "Give a folder of your own with --store."
        ) from error
    return Run(identifier, name or identifier, created), folder


def find_run(store: Path, reference: str) -> Path:
    """The folder of the run that a user means.

    reference: an id, the start of an id or of its random part, a name, or `last`.
    Raises StoreError where there is none or more than one.
    """
    folders = run_folders(store)
    if not folders:
        raise StoreError(f"There are no runs in {store}. Start one with: dcgan train")
    if reference == "last":
        return max(folders, key=lambda folder: str(read_fields(folder).get("sys/created")))
    if reference in {folder.name for folder in folders}:
        return store / reference
    named = [folder for folder in folders if read_fields(folder).get("sys/name") == reference]
    started = [folder for folder in folders if reference and _starts(folder.name, reference)]
    found = named or started
    if len(found) == 1:
        return found[0]
    if found:
        raise StoreError(
            f"{reference!r} could be any of {len(found)} runs:\n"
            + "\n".join(f"  {folder.name}" for folder in found[:10])
            + "\nType more of the one that you mean."
        )
    known = ", ".join(folder.name for folder in folders[-5:])
    raise StoreError(
        f"There is no run {reference!r} in {store}.\n"
        f"A run is named by its id, the start of its id, its name, or 'last'. Here are: {known}"
    )


def _starts(identifier: str, reference: str) -> bool:
    return identifier.startswith(reference) or identifier.rpartition("-")[2].startswith(reference)
