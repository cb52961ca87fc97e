"""Progress of a training or a sweep: one line that is rewritten, in a terminal or a notebook."""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, TextIO
from uuid import uuid4

from markupsafe import Markup

from tracking.fields import escape_control_characters
from tracking.notebook import notebook_shell

if TYPE_CHECKING:
    from dcgan.jobs.progress import TrainingMeter
    from tracking.events import Event

_SECONDS = 0.25
"""Between two lines that replace each other."""


class Display:
    """Shows nothing; messages become warnings.

    Attributes:
        keeps_lines: Whether only whole lines are shown, which stay.
    """

    keeps_lines = False

    def line(self, text: str, done: float) -> None:
        """Show how far the work is.

        text: In words. done: As a fraction, 0 to 1.
        """

    def message(self, text: str) -> None:
        """Show a message that stays."""
        warnings.warn(text, stacklevel=4)

    def note(self, text: str) -> None:
        """Show a line that stays, where lines are shown."""

    def end(self, text: str) -> None:
        """Replace the line by the result."""


class TextDisplay(Display):
    """On a terminal one line is rewritten; in a log file each line stays."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.keeps_lines = not stream.isatty()
        self._width = 0

    def line(self, text: str, done: float) -> None:
        """Show how far the work is; see `Display.line`."""
        if not self.keeps_lines:
            shown = f"{done:4.0%}  {text}"
            self._stream.write(f"\r{shown:<{self._width}}")
            self._stream.flush()
            self._width = len(shown)

    def message(self, text: str) -> None:
        """Print a message."""
        self.note(text)

    def note(self, text: str) -> None:
        """Print a line."""
        clear = f"\r{'':<{self._width}}\r" if self._width else ""
        self._stream.write(f"{clear}{escape_control_characters(text)}\n")
        self._stream.flush()
        self._width = 0

    def end(self, text: str) -> None:
        """Print the result."""
        self.note(text)


class NotebookDisplay(Display):
    """An output of the cell that is replaced, with a bar; plain text where there is no HTML."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._is_new = True
        self._messages: list[str] = []

    def line(self, text: str, done: float) -> None:
        """Show how far the work is; see `Display.line`."""
        bar = Markup("<progress value='{:.4f}' max='1' style='width:24em'></progress> ")
        self._show(text, bar.format(done))

    def message(self, text: str) -> None:
        """Show a message above the line."""
        self.note(text)

    def note(self, text: str) -> None:
        """Show a line that stays above the others."""
        self._messages.append(text)
        self._show("", Markup(""))

    def end(self, text: str) -> None:
        """Replace the bar by the result."""
        self._show(text, Markup(""))

    def _show(self, text: str, bar: Markup) -> None:
        from IPython.display import display, update_display

        lines = [*self._messages, text] if text else self._messages
        content = Markup("<br>").join([*lines[:-1], bar + lines[-1]])
        style = "font-family:monospace;white-space:pre-wrap"
        bundle = {
            "text/html": str(Markup("<div style='{}'>{}</div>").format(style, content)),
            "text/plain": "\n".join(lines),
        }
        show = display if self._is_new else update_display
        self._is_new = False
        show(bundle, raw=True, display_id=self._id)


def choose_display(wanted: bool) -> Display:
    """The display for this process: a notebook's, a terminal's, or none if it is not wanted."""
    if not wanted:
        return Display()
    return NotebookDisplay() if notebook_shell() is not None else TextDisplay(sys.stderr)


class TrainingDisplay:
    """Shows the events of a training.

    Args:
        display: Where.
        meter: Follows the events.
        total_steps: Of the whole training.
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
