"""The splits of a set, such as `train` and `test`, and the folders that are named after them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcgan.data.image_set import DataError

_NAMES = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


class NoSplitError(DataError):
    """A split that a set does not have."""


def choose_split(path: Path, splits: Sequence[str], split: str) -> list[str]:
    """The splits that are trained on.

    Args:
        path: The path that the user gave, for messages.
        splits: The names of all splits.
        split: The one to train on, or `all`.

    Raises:
        NoSplitError: There is no such split.
    """
    if split == "all":
        return list(splits)
    if split not in splits:
        raise NoSplitError(
            f"{path} has no split {split!r}. There are: {', '.join(splits)}.\n"
            f"Choose one with --set dataset.split={splits[0]}, or =all for all of them."
        )
    return [split]


def paths_of_split(path: Path, paths: Sequence[str], split: str) -> dict[str, str]:
    """The images of one split if their folders are named after splits, else all images.

    Args:
        path: The path that the user gave, for messages.
        paths: The paths of the images, below the folder that holds all of them.
        split: The split to train on, or `all`.

    Returns:
        The paths, each with what it is within the folder of its split.

    Raises:
        NoSplitError: There is no such split.
    """
    folders = {each.partition("/")[0] if "/" in each else "" for each in paths}
    if not folders <= _NAMES:
        return {each: each for each in paths}
    chosen = choose_split(path, sorted(folders), split)
    parts = ((each, *each.split("/", 1)) for each in paths)
    return {each: within for each, folder, within in parts if folder in chosen}
