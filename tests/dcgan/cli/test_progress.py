"""The bars while images are worked on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dcgan.cli import progress
from dcgan.cli.progress import ImageProgress


def test_each_kind_of_work_has_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **options: terminal)
    with ImageProgress() as bars:
        assert drawn.getvalue() == "", "hidden until there is work"
        bars.decoded(10, 40)
        bars.show("fakes", 50, 100)
        bars.clear()
        for text in ("decoding", "10/40", "fakes", "50/100", "left"):
            assert text in drawn.getvalue()
        drawn.truncate(0)
        bars.show("fakes", 100, 100)
    assert "100/100" in drawn.getvalue(), "after something was printed there is a new one"
