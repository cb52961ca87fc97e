"""Packages with a tracker, as pip installs them: a module, and an entry point that names it."""

from __future__ import annotations

from pathlib import Path

BACKEND = """
from tracking.tracker import Held

class Tracker:
    def held(self):
        return Held()

    def write(self, event):
        pass

    def close(self, status):
        pass

def open_tracker(run, store):
    return Tracker()

def load_runs(store):
    import pandas as pd
    return pd.DataFrame()

load_steps = load_tails = load_last_values = load_events = lambda *arguments: None
"""
"""The code of a tracker that keeps nothing."""


def install(site: Path, name: str, code: str, *, group: str = "dcgan.trackers") -> None:
    """Install a package of one module.

    Args:
        site: A folder on Python's path.
        name: What `--tracker` calls the tracker.
        code: The code of its module, `plugin_NAME`.
        group: The group of its entry point.
    """
    (site / f"plugin_{name}.py").write_text(code)
    folder = site / f"lab_{name}-1.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lab-{name}\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text(f"[{group}]\n{name} = plugin_{name}\n")
