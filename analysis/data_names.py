"""Short names of data sets."""

from __future__ import annotations

from pathlib import PurePath


def data_set_name(name: object, path: object) -> str:
    """The name of a data set; for a user's own images, also that of their folder or file.

    Args:
        name: `config/dataset/name` of a run, such as `mnist` or `folder`.
        path: `config/dataset/path`, or None if it was not recorded.
    """
    own = PurePath(str(path)).name if name == "folder" and path else ""
    return f"{name} {own}".rstrip()
