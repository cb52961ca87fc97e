"""Progress outside the command line: rewritten on a terminal and in a notebook, lines in a file."""

from __future__ import annotations

import io
from typing import Any

import pytest

from analysis.plots import inline
from analysis.plots.style import new_figure
from dcgan.api import progress
from dcgan.api.progress import (
    Display,
    NotebookDisplay,
    TextDisplay,
    choose_display,
    showing_images_on,
)
from dcgan.data.progress import loading_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(display: Display) -> None:
    display.note("digits: 3 steps")
    display.line("step 1", 0.5)
    display.message("a <doubt>")
    display.end("finished")


def test_a_log_file_gets_whole_lines() -> None:
    stream = io.StringIO()
    show(TextDisplay(stream))
    assert stream.getvalue().splitlines() == ["digits: 3 steps", "a <doubt>", "finished"]


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    stream = Terminal()
    show(TextDisplay(stream))
    lines = stream.getvalue().splitlines(keepends=True)
    assert "\r 50%  step 1" in stream.getvalue()
    assert lines[-1] == "finished\n"


def test_a_line_is_cut_to_the_width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    display = TextDisplay(stream)
    display.line("epoch 1/50  step 12  " * 3, 0.5)
    display.clear()
    rows = stream.getvalue().split("\r")
    assert [len(row) for row in rows] == [0, 39, 39, 0]


def test_the_line_of_work_that_fails_is_removed() -> None:
    stream = Terminal()
    display = TextDisplay(stream)
    with pytest.raises(KeyboardInterrupt), display.clearing():
        display.line("step 1", 0.5)
        raise KeyboardInterrupt
    assert stream.getvalue().split("\r")[-2:] == [" " * len(" 50%  step 1"), ""]


def test_a_notebook_gets_one_output_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, dict[str, str], str]] = []

    def note(kind: str) -> Any:
        return lambda bundle, raw, display_id: shown.append((kind, bundle, display_id))

    monkeypatch.setattr("IPython.display.display", note("new"))
    monkeypatch.setattr("IPython.display.update_display", note("update"))
    show(NotebookDisplay())
    assert [kind for kind, _, _ in shown] == ["new", "update", "update", "update"]
    assert len({identifier for _, _, identifier in shown}) == 1
    assert "<progress value='0.5000'" in shown[1][1]["text/html"]
    last = shown[-1][1]
    assert last["text/plain"] == "digits: 3 steps\na <doubt>\nfinished"
    assert "a &lt;doubt&gt;" in last["text/html"]
    assert "<progress" not in last["text/html"]


def test_the_time_left_is_shown_while_images_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.1, 30.0, 40.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    display = TextDisplay(stream)
    with showing_images_on(display), loading_progress() as loading:
        loading.decoded(1_000, 4_000)
        loading.decoded(1_001, 4_000)  # too soon to be shown
        loading.decoded(2_000, 4_000)
        loading.decoded(4_000, 4_000)
    lines = [line.rstrip() for line in stream.getvalue().split("\r")]
    assert lines == [
        "",
        " 25%  decoding 1,000 of 4,000 images",
        " 50%  decoding 2,000 of 4,000 images, 1 min 00 s left",
        "100%  decoding 4,000 of 4,000 images",
        "",  # removed
        "",
    ]


def test_without_progress_only_warnings_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="a <doubt>"):
        show(choose_display(False))
    assert capsys.readouterr() == ("", "")


def test_figures_are_shown_where_there_is_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.formatters import DisplayFormatter

    class Shell:
        kernel = object()
        display_formatter = DisplayFormatter()

    monkeypatch.setattr(inline, "notebook_shell", Shell)
    monkeypatch.setattr(progress, "notebook_shell", Shell)
    data, _ = Shell.display_formatter.format(new_figure(1, "", ""))
    assert data["image/png"].startswith(b"\x89PNG")
    assert isinstance(choose_display(True), NotebookDisplay)
