"""A new length for an existing run: checked, explained, and recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dcgan.config.loading import load_config, recipe_names
from dcgan.config.schema import Config, ConfigError, Training
from dcgan.run_folder import RECIPE_FILE
from dcgan.run_folder.describe import write_recipe
from dcgan.run_folder.trained_run import read_config
from dcgan.training.checkpoint import CheckpointError
from dcgan.training.schedule import total_steps
from tracking.events import CONFIG, SYS, Event, Fields, Value
from tracking.wording import plural

LENGTHS = f"{SYS}/lengths"
"""The field with every length that a run has had, the first one first."""


def check_length(
    config: Config, previous: Config, size: int, *, folder: Path, status: object, done: int | None
) -> None:
    """Check that a run can continue as if it had had its new length from the start.

    Args:
        config: The run's configuration with the new length.
        previous: Its configuration so far.
        size: Number of images.
        folder: The run's folder.
        status: The run's status.
        done: Steps of its last checkpoint; None if it has none.

    Raises:
        CheckpointError: The run has finished, but its checkpoints are gone.
        ConfigError: The run is that long already, or what it has done so far depends on its
            length.
    """
    run = folder.name
    new_length, old_length = (each.training.length for each in (config, previous))
    if done is None:
        if status == "finished":
            raise CheckpointError(
                f"The run {run} has finished, but has no checkpoint to continue from.\n"
                f"To train it again as a new run: dcgan train {folder / RECIPE_FILE}"
            )
        return
    if (steps := total_steps(config, size)) <= done:
        in_steps = "" if config.training.steps else f", which are {plural(steps, 'step')}"
        raise ConfigError(
            f"The run {run} has trained {plural(done, 'step')} already, and its new length is "
            f"{new_length}{in_steps}.\nGive a larger number."
        )
    noise = config.stabilisers.instance_noise
    if noise > 0 and total_steps(config, size) != total_steps(previous, size):
        raise ConfigError(
            f"The run {run} cannot be trained to {new_length} as if that had been its length from "
            f"the start:\nits instance noise (stabilisers.instance_noise = {noise}) fell to 0 over "
            f"{old_length}; over {new_length} it would have fallen more slowly.\nTrain a new run "
            f"of that length, or start one from these weights: dcgan train --from {run}"
        )


def notes_on_length(config: Config) -> Iterator[str]:
    """Notes on values that the recipe's source derives from the length, and that a run keeps."""
    depends = config.source.depends_on_epochs
    if not depends and config.name in recipe_names():  # a run that is older than this key
        depends = load_config(config.name, []).source.depends_on_epochs
    if depends:
        yield (
            f"In the source of {config.name}, {depends}. This run keeps the value that it has, as "
            f"it would if it had had the new length from its first step."
        )


def length_events(folder: Path, training: Training, fields: Mapping[str, Value]) -> Iterator[Event]:
    """Record a run's length if it is new: in its recipe, which is written first, and its fields.

    Args:
        folder: The run's folder.
        training: The section with the length.
        fields: The run's fields so far.
    """
    recipe = read_config(folder)
    length = {"epochs": training.epochs, "steps": training.steps}
    # A kill between the two leaves the new length in the recipe and the former one in the fields.
    former = {unit: fields.get(f"{CONFIG}/training/{unit}") for unit in length}
    if former == dict.fromkeys(length):
        former = {"epochs": recipe.training.epochs, "steps": recipe.training.steps}
    if former == length:
        return
    recorded = fields.get(LENGTHS)
    lengths = recorded if isinstance(recorded, list) else [_in_words(recipe, former)]
    changed = recipe.replace("training", **length)
    yield write_recipe(changed, folder)
    yield Fields(
        {f"{CONFIG}/training/{unit}": value for unit, value in length.items()}
        | {LENGTHS: [*lengths, changed.training.length]}
    )


def _in_words(config: Config, length: Mapping[str, Value]) -> str:
    return config.replace("training", **length).training.length
