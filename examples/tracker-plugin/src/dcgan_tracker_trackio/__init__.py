"""trackio: one project per store, in trackio's own folder, for `trackio show`.

    fields          the run's configuration
    metrics         logged under their own paths, at their own steps and times
    images          PNG files among trackio's media, logged as `trackio.Image`
    texts, files    copied into the run's folder among trackio's media

Everything is written through `SQLiteStorage.bulk_log`, which commits before it returns and raises
if it cannot. `trackio.log` would queue it for a thread, and warn at most.
"""

from dcgan_tracker_trackio.reading import (
    load_events,
    load_last_values,
    load_runs,
    load_steps,
    load_tails,
)
from dcgan_tracker_trackio.writing import TrackioTracker, open_tracker

__all__ = [
    "TrackioTracker",
    "load_events",
    "load_last_values",
    "load_runs",
    "load_steps",
    "load_tails",
    "open_tracker",
]
