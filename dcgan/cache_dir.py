"""The folder for files that can be regenerated."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder for regenerable files: $DCGAN_CACHE, or one in the user's cache folder.

    It may not exist yet.
    """
    chosen = os.environ.get("DCGAN_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("dcgan-lab")
