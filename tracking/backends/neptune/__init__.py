"""Neptune 1.14: offline in the store, or the server that its own two variables name.

    config/..., health/..., training/..., images/..., io_files/...   under their own paths
    sys/...          under `provenance/...`, since a server keeps `sys` for itself; the name,
                     the tags, the group and a failure also go to Neptune's own fields there
    non_finite/...   the NaN and infinite values of a series, which the client drops
    long_fields/...  files: the full text of each field longer than Neptune keeps

Offline, the client loses nothing that it has flushed, and it is flushed after each event. An
offline run that is opened again gets a second folder; the reader merges the folders of a run.

Online, the server says what it has of a run that is opened again, because the client's own
notes on disk can lag behind what arrived. For pictures a server only reports how many there
are, so their order is noted in `pictures/`.
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
