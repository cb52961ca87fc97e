"""The command line, in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from dcgan.cli import app


def dcgan(*arguments: object) -> str:
    """What `dcgan` prints, on lines of 200 columns; it must succeed."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output
