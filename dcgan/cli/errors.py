"""A user's mistake ends with what was wrong and what would be right, not with a traceback."""

from __future__ import annotations

import os
from typing import Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text
from typer.core import TyperGroup

from tracking.errors import UserError

EXIT_USER_ERROR = 2


class LabGroup(TyperGroup):
    """The group of all commands: shows every `UserError` on one screen and exits with 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            message = Text(str(error))
            panel = Panel(message, title="Error", title_align="left", border_style="red")
            if os.environ.get("RANK", "0") == "0":  # of processes that train together one speaks
                Console(stderr=True).print(panel)
            raise typer.Exit(EXIT_USER_ERROR) from error
