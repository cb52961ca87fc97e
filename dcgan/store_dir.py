"""The folder of all runs, and how suggested commands refer to it."""

from __future__ import annotations

import json
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
    folder = Path(named).expanduser() if named else _own_store()
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file. A store is a folder that holds runs.")
    return folder


def dcgan_command(*arguments: str, store: Path) -> str:
    """A command for the user to type, with --store unless it would use this store anyway."""
    name = _name_unless_own(store)
    return command_line("dcgan", *arguments, *(("--store", name) if name else ()))


def command_line(*words: str) -> str:
    """The words as a line for this system's shell, quoted where they have spaces or brackets."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def dcgan_call(function: str, reference: str, *arguments: str, store: Path) -> str:
    """The same in Python, such as `dcgan.resume("digits-x7k2m9")`.

    Args:
        function: Of `dcgan`.
        reference: The run or the sweep, its first argument.
        *arguments: Its other arguments, as they are typed.
        store: Named unless the call would use it anyway.
    """
    name = _name_unless_own(store)
    typed = [json.dumps(reference), *arguments, *([f"store={json.dumps(name)}"] if name else ())]
    return f"dcgan.{function}({', '.join(typed)})"


def _name_unless_own(store: Path) -> str:
    """The store as a user would name it; empty if it is used when none is named."""
    is_own = store.absolute() == _own_store().absolute()
    return "" if is_own else str(seen_from_here(store))


def seen_from_here(folder: Path) -> Path:
    """The folder relative to the working directory if it is in it, since that is shorter."""
    here, absolute = Path.cwd(), folder.absolute()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else folder


def _own_store() -> Path:
    """The folder that is used if the user names none."""
    # No shell has replaced a ~ in a script, in --store=~/runs or in a file of variables.
    return Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE).expanduser()
