"""The terminal beside the output: one console, so that bars and warnings respect each other."""

from __future__ import annotations

from rich.console import Console

STDERR = Console(stderr=True)
