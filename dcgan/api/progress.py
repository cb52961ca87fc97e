"""Progress of a training or a sweep: one line that is rewritten, in a terminal or a notebook."""

from __future__ import annotations

import math
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TextIO
from uuid import uuid4

from markupsafe import Markup

from dcgan.data.progress import NamedProgress, showing_images
from tracking.fields import escape_control_characters
from tracking.notebook import notebook_shell
from tracking.wording import duration, plural

if TYPE_CHECKING:
    from dcgan.jobs.progress import TrainingMeter
    from tracking.events import Event

_SECONDS = 0.25
"""Seconds between two updates of the line."""


class Display:
    """A display that shows nothing; messages become warnings.

    Attributes:
        keeps_lines: Whether lines are never rewritten, as in a log file.
    """

    keeps_lines = False

    def line(self, text: str, done: float) -> None:
        """Show the progress of the work.

        text: The progress in words. done: The completed fraction, 0 to 1.
        """

    def message(self, text: str) -> None:
        """Show a message that stays."""
        warnings.warn(text, stacklevel=4)

    def note(self, text: str) -> None:
        """Show a line that stays, where lines are shown."""

    def clear(self) -> None:
        """Remove the line."""

    def end(self, text: str) -> None:
        """Replace the line by the result."""

    @contextmanager
    def clearing(self) -> Iterator[None]:
        """Remove the line if the work within this context fails: it would never change again."""
        try:
            yield
        except BaseException:
            self.clear()
            raise


class TextDisplay(Display):
    """A display that rewrites one line on a terminal, and keeps every line in a log file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.keeps_lines = not stream.isatty()
        self._width = 0

    def line(self, text: str, done: float) -> None:
        """Show the progress of the work; see `Display.line`."""
        if not self.keeps_lines:
            # What does not fit would be wrapped, and only the last row can be rewritten.
            shown = f"{done:4.0%}  {text}"[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r{shown:<{self._width}}")
            self._stream.flush()
            self._width = len(shown)

    def message(self, text: str) -> None:
        """Print a message."""
        self.note(text)

    def note(self, text: str) -> None:
        """Print a line."""
        self.clear()
        self._stream.write(f"{escape_control_characters(text)}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._width:
            self._stream.write(f"\r{'':<{self._width}}\r")
            self._stream.flush()
        self._width = 0

    def end(self, text: str) -> None:
        """Print the result."""
        self.note(text)


class NotebookDisplay(Display):
    """A display with a bar in a cell's output; plain text where there is no HTML."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._is_new = True
        self._messages: list[str] = []

    def line(self, text: str, done: float) -> None:
        """Show the progress of the work; see `Display.line`."""
        bar = Markup("<progress value='{:.4f}' max='1' style='width:24em'></progress> ")
        self._show(text, bar.format(done))

    def message(self, text: str) -> None:
        """Show a message above the line."""
        self.note(text)

    def note(self, text: str) -> None:
        """Show a line that stays above the others."""
        self._messages.append(text)
        self._show("", Markup(""))

    def clear(self) -> None:
        """Remove the bar."""
        if not self._is_new:
            self._show("", Markup(""))

    def end(self, text: str) -> None:
        """Replace the bar by the result."""
        self._show(text, Markup(""))

    def _show(self, text: str, bar: Markup) -> None:
        from IPython.display import display, update_display

        lines = [*self._messages, text] if text else self._messages
        content = Markup("<br>").join([*lines[:-1], bar + "".join(lines[-1:])])
        style = "font-family:monospace;white-space:pre-wrap"
        bundle = {
            "text/html": str(Markup("<div style='{}'>{}</div>").format(style, content)),
            "text/plain": "\n".join(lines),
        }
        show = display if self._is_new else update_display
        self._is_new = False
        show(bundle, raw=True, display_id=self._id)


def choose_display(wanted: bool) -> Display:
    """The display for this process: a notebook's, a terminal's, or none unless `wanted`."""
    if not wanted:
        return Display()
    return NotebookDisplay() if notebook_shell() is not None else TextDisplay(sys.stderr)


class ImagesDisplay(NamedProgress):
    """Shows the progress of loading a data set, or of other work on images, and the time left.

    Args:
        display: Where.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._began: dict[str, tuple[float, int]] = {}
        self._shown_at = -math.inf

    def __enter__(self) -> ImagesDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        if self._began:
            self._display.clear()

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much of a kind of work is done, and how long the rest will take.

        Args:
            what: The work, or the images, in a word or two.
            done: Images that are done.
            total: All images.
        """
        now = time.monotonic()
        began, done_before = self._began.setdefault(what, (now, done))
        if done < total and now - self._shown_at < _SECONDS:
            return
        self._shown_at = now
        left = ""
        if done_before < done < total:
            seconds = (now - began) * (total - done) / (done - done_before)
            left = f", {duration(seconds)} left"
        text = f"{what} {done:,} of {plural(total, 'image')}{left}"
        self._display.line(text, done / max(total, 1))


def showing_images_on(display: Display) -> AbstractContextManager[None]:
    """Show the progress of loading data sets within this context."""
    return showing_images(lambda: ImagesDisplay(display))


class TrainingDisplay:
    """Shows the events of a training.

    Args:
        display: Where.
        meter: Follows the events.
        total_steps: The number of steps of the whole training.
    """

    def __init__(self, display: Display, meter: TrainingMeter, total_steps: int) -> None:
        self._display = display
        self._meter = meter
        self._total_steps = total_steps
        self._shown_at = 0.0

    def show(self, event: Event) -> None:
        """Follow an event of the run."""
        for score in self._meter.follow(event):
            self._display.note(score)
        if self._display.keeps_lines and self._meter.epoch_ended:
            self._display.note(self._meter.line)
        elif self._meter.line and time.monotonic() - self._shown_at > _SECONDS:
            self._shown_at = time.monotonic()
            self._display.line(self._meter.line, self._meter.step / self._total_steps)
