"""A recipe on images other than its own: its description and its length may no longer fit."""

from __future__ import annotations

from dcgan.config.loading import load_config, recipe_names
from dcgan.config.schema import Config
from dcgan.training.schedule import total_steps
from tracking.wording import plural

FEW_STEPS = 1_000
"""Fewer steps are warned of: a third of the 2,850 of `digits`, the shortest recipe."""

_STEPS, _BATCH_SIZE = 5_000, 32
"""The advice, about the length of `astro`, the recipe for the fewest images."""


def without_claims(config: Config, size: int) -> Config:
    """The configuration, with a new description if it trains on images other than the recipe's.

    A description that the user has written stays, and so does the number of images that the
    recipe's length is meant for.

    Args:
        config: The configuration of a new run.
        size: Number of its images.
    """
    recipe = _recipe_of(config)
    if recipe is None or _has_own_images(config, recipe, size):
        return config
    instead = f"other images, with the settings of {recipe.name}"
    if config.description == recipe.description:
        config = config.model_copy(update={"description": instead})
    if config.source.experiment == recipe.source.experiment:
        config = config.replace("source", experiment=instead)
    return config


def few_steps_warning(config: Config, size: int) -> str | None:
    """A warning if the recipe's own number of epochs makes only few steps on these images.

    Args:
        config: The configuration of a new run.
        size: Number of its images.
    """
    recipe = _recipe_of(config)
    steps = total_steps(config, size)
    if recipe is None or recipe.source.images is None or steps >= FEW_STEPS:
        return None
    is_of_recipe = config.training.epochs == recipe.training.epochs
    if config.training.epochs is None or not is_of_recipe or size >= recipe.source.images:
        return None
    smaller = f" with a batch size of {_BATCH_SIZE}" * (config.training.batch_size > _BATCH_SIZE)
    return (
        f"Only {plural(steps, 'step')}: {recipe.name}'s {plural(config.training.epochs, 'epoch')} "
        f"are meant for {recipe.source.images:,} images, and here are {size:,}. "
        f"Try {_STEPS:,} steps{smaller}."
    )


def _recipe_of(config: Config) -> Config | None:
    """The built-in recipe that a configuration has the name of; None if it has another name."""
    return load_config(config.name, []) if config.name in recipe_names() else None


def _has_own_images(config: Config, recipe: Config, size: int) -> bool:
    """Whether these are probably the recipe's images: of a folder, only their number is known."""
    if config.dataset.name == "folder":
        return size == recipe.source.images
    return config.dataset.name == recipe.dataset.name
