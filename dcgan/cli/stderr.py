"""The console for standard error, shared so that bars and warnings do not overwrite each other."""

from __future__ import annotations

from rich.console import Console

STDERR = Console(stderr=True)
