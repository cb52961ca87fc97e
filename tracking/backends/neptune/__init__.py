"""Neptune 1.14: offline in the store, or on the server that Neptune's environment variables name.

    config/..., health/..., training/..., images/..., io_files/...   under their own paths
    sys/...          under `provenance/...`, since a server keeps `sys` for itself; the name,
                     the tags, the group and a failure also go to Neptune's own fields there
    non_finite/...   the NaN and infinite values of a series, which the client drops
    long_fields/...  files: the full text of each field longer than Neptune keeps

Offline, the client is flushed after each event, so nothing written is lost. A reopened offline run
gets a second folder; the reader merges the folders of a run.

Online, the server is asked what it has of a reopened run, because the client's records on disk
can lag behind. Of pictures a server only reports the number, so their order is recorded in
`pictures/`.
"""

from tracking.backends.neptune.layout import (
    DATA_FOLDER,
    LONG_FIELDS,
    NON_FINITE,
    OWN_FIELDS,
    PROVENANCE,
)
from tracking.backends.neptune.reading import (
    load_events,
    load_last_values,
    load_runs,
    load_steps,
    load_tails,
)
from tracking.backends.neptune.writing import NeptuneTracker, open_tracker

__all__ = [
    "DATA_FOLDER",
    "LONG_FIELDS",
    "NON_FINITE",
    "OWN_FIELDS",
    "PROVENANCE",
    "NeptuneTracker",
    "load_events",
    "load_last_values",
    "load_runs",
    "load_steps",
    "load_tails",
    "open_tracker",
]
