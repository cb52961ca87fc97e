"""How a user's mistake is reported: one message, no traceback."""

from __future__ import annotations

import errno
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from typer.core import TyperGroup

from dcgan.cli.indented_lines import print_indented
from dcgan.cli.stderr import STDERR
from dcgan.data.progress import showing_images
from dcgan.exit_codes import EXIT_INTERRUPTED, EXIT_USER_ERROR
from dcgan.training.torchrun import process_count, process_rank
from tracking.errors import StoreWarning, UserError
from tracking.fields import escape_control_characters
from tracking.redaction import make_redactor

if TYPE_CHECKING:
    from dcgan.cli.progress import ImageProgress

_FIXABLE_BY_USER = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
"""Errors that the user can fix: a store that is read-only, belongs to another user, or is full."""

FIRST_PROCESS_SECONDS = 10.0
"""Seconds that all processes but the first wait before they report an error."""

_MISSING_CHARACTER = re.compile(r"Glyph \d+ .* missing from font")
_EMPTY_OPTION = re.compile("--[a-z-]+=")

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # Typer does not export it


class LabGroup(TyperGroup):
    """The group of all commands: prints a `UserError` in a panel and exits with code 2.

    It does the same for a file that may not be read or written, for a full disk, and where memory
    runs out.

    If torchrun started several processes, the first one reports an error that occurs in all of
    them, and torchrun ends the others while they wait. A process that still runs after the wait
    reports its own error.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty argument, which a shell variable that is not set leaves.

        Typer would take an empty path for the working directory.
        """
        # A shell that completes a line asks for arguments that are not typed yet.
        typed = [] if ctx.resilient_parsing else args
        for before, argument in pairwise(["dcgan", *typed]):
            if argument == "" or _EMPTY_OPTION.fullmatch(argument):
                named = argument.rstrip("=") or before
                where = "of" if argument else "after"
                empty = f"The value {where} {named!r} is empty."
                raise typer.BadParameter(f"{empty} Is a variable of the shell not set?", ctx)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _warnings_in_one_line(), showing_images(_image_bars):
                return super().invoke(ctx)
        except _USAGE_ERROR:  # which Typer prints
            if process_rank() != 0:
                time.sleep(FIRST_PROCESS_SECONDS)
            raise
        except (UserError, OSError, RuntimeError, MemoryError) as error:
            text = _message(error)
            if text is None:
                raise
            rank = process_rank()
            if rank != 0 and not _is_of_this_process(error):
                time.sleep(FIRST_PROCESS_SECONDS)
            title = "Error" if rank == 0 else f"Error in process {rank}"
            panel = Panel(Text(_shown(text)), title=title, title_align="left", border_style="red")
            Console(stderr=True).print(panel)
            raise typer.Exit(EXIT_USER_ERROR) from error
        except KeyboardInterrupt:
            Console(stderr=True).print("Interrupted.")
            raise typer.Exit(EXIT_INTERRUPTED) from None


def check_single_process(command: str) -> None:
    """Raise UserError if torchrun started a command that each of its processes would repeat."""
    if process_count() > 1 and command not in ("train", "resume"):
        raise UserError(
            f"dcgan {command} would run once in each process of torchrun.\n"
            "Start it without torchrun, which is for dcgan train and dcgan resume."
        )


def _shown(text: str) -> str:
    """The text without secrets and control characters."""
    return escape_control_characters(make_redactor()(text))


def _message(error: Exception) -> str | None:
    """What the user can change; None if it is nothing, so that only the traceback helps."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        if error.errno not in _FIXABLE_BY_USER:
            return None
        return f"{error.filename or 'A file'} cannot be used: {error.strerror}."
    if "torch" not in sys.modules:  # which would take seconds to import
        return None
    from dcgan.jobs.out_of_memory import is_out_of_memory

    if not is_out_of_memory(error):
        return None
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"Memory ran out: {first_line}\n"
        "End other programs that use it, ask for less at once, or choose another --device."
    )


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print each `StoreWarning` once, in one line; other warnings as Python does.

    Matplotlib warns of each character that its fonts lack; one warning says what to do.
    """
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if _MISSING_CHARACTER.match(str(message)):
            from analysis.plots.fonts import ADVICE

            message, category = ADVICE, StoreWarning
        if not issubclass(category, StoreWarning):
            pythons_own(message, category, *where, **more)
        elif str(message) not in shown:
            shown.add(str(message))
            print_indented(STDERR, f"Warning: {_shown(str(message))}", "yellow")

    with warnings.catch_warnings():
        warnings.simplefilter("always", StoreWarning)
        pythons_own: Callable[..., None] = warnings.showwarning
        warnings.showwarning = show
        yield


def _image_bars() -> ImageProgress:
    from dcgan.cli.progress import ImageProgress

    return ImageProgress()


def _is_of_this_process(error: Exception) -> bool:
    from dcgan.config.schema import ProcessError

    return isinstance(error, ProcessError)
