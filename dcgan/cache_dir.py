"""The directory for files that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where is kept what can be made again: $DCGAN_CACHE, or the user's cache folder."""
    named = os.environ.get("DCGAN_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("dcgan-lab")
