"""The user's overrides of a recipe: keys, options such as `--lr`, and the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dcgan.config.loading import ALTERNATIVES, OWN_KEYS, Override, load_config
from dcgan.config.schema import Config, ConfigError
from dcgan.data.sources.torchvision_sets import folder_has_set

OPTION_KEYS = {
    "lr": "optimizer.lr",
    "epochs": "training.epochs",
    "steps": "training.steps",
    "batch_size": "training.batch_size",
    "seed": "seed",
    "weight_init": "init.scheme",
    "start_from": "init.weights",
    "evaluate_every": "evaluation.every_epochs",
    "precision": "training.precision",
    "compile": "training.compile",
    "channels": "dataset.channels",
}
"""Option of a command or argument of `dcgan.train` -> the recipe key that it sets."""

_INIT_SCHEMES = {True: "dcgan", False: "default"}


def option_overrides(
    options: Mapping[str, Any], describe: Callable[[str, Any], str]
) -> list[Override]:
    """Turn options into overrides.

    Args:
        options: Names in `OPTION_KEYS` and their values; None for those that the user left out.
        describe: Maps an option's name and value to the user's spelling of it, for messages.
    """
    return [
        Override(
            OPTION_KEYS[name],
            _INIT_SCHEMES.get(value, value) if name == "weight_init" else value,
            describe(name, value),
        )
        for name, value in options.items()
        if value is not None
    ]


def configure(
    recipe: str, overrides: Sequence[Override], images: Path | None, flag: str = "--data "
) -> Config:
    """Load a recipe with a user's overrides and images.

    Args:
        recipe: Name of a recipe, or the path of its file.
        overrides: What the user changed in it.
        images: The user's own images, or None.
        flag: What the user typed before their path, for messages.

    Raises:
        ConfigError: The recipe or an override is not valid.
    """
    return load_config(recipe, [*overrides, *data_overrides(recipe, overrides, images, flag)])


def combine_overrides(settings: Sequence[Override], options: Sequence[Override]) -> list[Override]:
    """Settings of keys, then options such as `--lr`, which take precedence.

    An option applies to both networks: it removes the recipe's value for either of them, unless
    `settings` has one.

    Raises ConfigError if two of them exclude each other.
    """
    settings = [each for setting in settings for each in setting.per_key()]
    overrides = [*settings, *_cleared(options, settings), *options]
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
        flag: What the user typed before its path, for messages.

    Raises:
        ConfigError: The recipe or an override is not valid.
    """
    if folder is None:
        return []
    dataset = load_config(recipe, list(overrides)).dataset.name
    path = folder.expanduser().absolute()  # the run may be resumed in another folder
    name = dataset if folder_has_set(dataset, path) else "folder"
    return [
        Override("dataset.name", name, f"{flag}{folder}"),
        Override("dataset.path", str(path), f"{flag}{folder}"),
    ]


def _cleared(options: Sequence[Override], settings: Sequence[Override]) -> Iterator[Override]:
    set_keys = {setting.key for setting in settings}
    for option in options:
        for key in OWN_KEYS.get(option.key, ()):
            if key not in set_keys:
                yield Override(key, None, option.origin)
