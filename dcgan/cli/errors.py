"""How a user's mistake is reported: one message, no traceback."""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tracking.errors import StoreWarning, UserError
from tracking.fields import escape_control_characters
from tracking.redaction import make_redactor

if TYPE_CHECKING:
    from dcgan.cli.progress import ImageProgress

_USERS_TO_MEND = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
"""A store that is read-only, of another user, or full."""

FIRST_PROCESS_SECONDS = 10.0
"""Seconds that another process than the first waits before it reports an error."""


class LabGroup(TyperGroup):
    """The group of all commands: prints any `UserError` in a panel and exits with code 2.

    So it does with a file that may not be read or written, or for which there is no room.

    Of several processes that torchrun started, the first reports what befalls all of them.
    Torchrun then ends the others while they wait. A process that is still there has an error of
    its own, and reports it.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _warnings_in_one_line(), showing_images(_image_bars):
                return super().invoke(ctx)
        except (UserError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _USERS_TO_MEND:
                raise
            rank = os.environ.get("RANK", "0")
            if rank != "0" and not _is_of_this_process(error):
                time.sleep(FIRST_PROCESS_SECONDS)
            title = "Error" if rank == "0" else f"Error in process {rank}"
            message = _shown(_message(error))
            panel = Panel(Text(message), title=title, title_align="left", border_style="red")
            Console(stderr=True).print(panel)
            raise typer.Exit(EXIT_USER_ERROR) from error
        except KeyboardInterrupt:
            Console(stderr=True).print("Interrupted.")
            raise typer.Exit(EXIT_INTERRUPTED) from None


def _shown(text: str) -> str:
    """A text without secrets, and without what could control the terminal."""
    return escape_control_characters(make_redactor()(text))


def _message(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return str(error)
    return f"{error.filename or 'A file'} cannot be used: {error.strerror}."


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print each `StoreWarning` once, in one line; other warnings as Python does."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
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


def _is_of_this_process(error: UserError | OSError) -> bool:
    from dcgan.config.schema import ProcessError

    return isinstance(error, ProcessError)
