"""The console for standard error: one for all, so that bars and warnings do not collide."""

from __future__ import annotations

from rich.console import Console

STDERR = Console(stderr=True)
