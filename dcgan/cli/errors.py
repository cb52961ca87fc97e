"""Exit codes, and how a user's mistake is reported: one message, no traceback."""

from __future__ import annotations

import os
from typing import Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from typer.core import TyperGroup

from tracking.errors import UserError

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class LabGroup(TyperGroup):
    """The group of all commands: prints any `UserError` in a panel and exits with code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            message = Text(str(error))
            panel = Panel(message, title="Error", title_align="left", border_style="red")
            if os.environ.get("RANK", "0") == "0":  # under torchrun only one process reports it
                Console(stderr=True).print(panel)
            raise typer.Exit(EXIT_USER_ERROR) from error
