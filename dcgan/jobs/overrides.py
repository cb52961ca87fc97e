"""What a user sets besides the recipe: settings of keys, flags, and a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dcgan.config.loading import ALTERNATIVES, OWN_KEYS, Override, load_config
from dcgan.config.schema import ConfigError
from dcgan.data.sources.torchvision_sets import folder_has_set


def combine_overrides(settings: Sequence[Override], flags: Sequence[Override]) -> list[Override]:
    """Settings of keys, then flags such as `--lr`, which win.

    A flag is for both networks: it clears a recipe's value for one of them, unless `settings` has
    that.

    Raises ConfigError if two of them exclude each other.
    """
    overrides = [*settings, *_cleared(flags, settings), *flags]
    origins = {override.key: override.origin for override in overrides}
    for key, origin in origins.items():
        section, _, _ = key.rpartition(".")
        other = f"{section}.{ALTERNATIVES.get(key, '')}"
        if other in origins:
            raise ConfigError(f"Give either {origin} or {origins[other]}: one excludes the other.")
    return overrides


def data_overrides(
    recipe: str, overrides: Sequence[Override], folder: Path | None, flag: str = "--data "
) -> list[Override]:
    """Turn a folder of images into overrides of the recipe.

    The recipe's own data set is read from the folder if it is there; otherwise the folder's
    images take its place.

    Args:
        recipe: A recipe's name, or the path of its TOML file.
        overrides: All other overrides; they may choose the data set.
        folder: The folder, or a file of images; None for the recipe's own place.
        flag: How the user has given it, for messages.

    Raises:
        ConfigError: The recipe or an override is not valid.
    """
    if folder is None:
        return []
    dataset = load_config(recipe, list(overrides)).dataset.name
    name = dataset if folder_has_set(dataset, folder) else "folder"
    path = str(folder.expanduser().absolute())  # the run may be resumed in another folder
    return [
        Override("dataset.name", name, f"{flag}{folder}"),
        Override("dataset.path", path, f"{flag}{folder}"),
    ]


def _cleared(flags: Sequence[Override], settings: Sequence[Override]) -> Iterator[Override]:
    set_keys = {setting.key for setting in settings}
    for flag in flags:
        for key in OWN_KEYS.get(flag.key, ()):
            if key not in set_keys:
                yield Override(key, None, flag.origin)
