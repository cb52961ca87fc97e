"""The folder of all runs, and how suggested commands refer to it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tracking.errors import StoreError

DEFAULT_STORE = Path("runs")

STORE_VARIABLE = "DCGAN_STORE"
"""The environment variable for the folder, used if the user names none."""


def store_dir(named: str | Path | None = None) -> Path:
    """The folder that the user has named, or else $DCGAN_STORE, or else `runs`.

    It may not exist yet. Raises StoreError if it is a file.
    """
    folder = Path(named or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file. A store is a folder that holds runs.")
    return folder


def dcgan_command(*arguments: str, store: Path) -> str:
    """A command for the user to type, with --store unless it would use this store anyway."""
    own_store = Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    store_option = () if store == own_store else ("--store", str(store))
    return command_line("dcgan", *arguments, *store_option)


def command_line(*words: str) -> str:
    """The words as a line for this system's shell, quoted where they have spaces or brackets."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
