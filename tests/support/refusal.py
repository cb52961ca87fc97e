"""What a command says of a user's mistake."""

from __future__ import annotations

import re

from typer.testing import Result


def error_of(result: Result) -> str:
    """The error that a command ended with: on one screen, without a traceback, as one line."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) <= 24
    return re.sub(r"[\s│]+", " ", result.output)
