"""A run whose networks have their initial weights, with all that a trained run has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcgan.config.loading import load_config, parse_override, to_toml
from dcgan.models import build_networks
from dcgan.models.ema import moving_average
from dcgan.run_folder import CHECKPOINT_DIR, RECIPE_FILE
from dcgan.training.checkpoint import save_checkpoint
from tests.support.sample_journals import STEPS, write_journal

SETTINGS = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "network.latent_size=6",
)


def write_untrained_run(
    store: Path,
    identifier: str,
    *settings: str,
    recipe: str = "digits",
    evaluation: Mapping[str, float] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Path:
    """Write a journal, a recipe and a checkpoint of the journal's last step.

    Args:
        store: Where the run is written.
        identifier: Of the run.
        settings: Further keys of the recipe, `key=value`.
        recipe: Its name.
        evaluation: As for `write_journal`.
        fields: As for `write_journal`.

    Returns:
        The run's folder.
    """
    overrides = [parse_override(text) for text in (*SETTINGS, *settings)]
    config = load_config(recipe, overrides)
    folder = write_journal(store, identifier, seed=0, evaluation=evaluation, fields=fields)
    (folder / RECIPE_FILE).parent.mkdir(exist_ok=True)
    (folder / RECIPE_FILE).write_text(to_toml(config), encoding="utf-8")
    generator, discriminator = build_networks(config, seed=1)
    average = moving_average(generator, config.stabilisers.generator_ema)
    state = {
        "step": STEPS,
        "generator": generator.state_dict(),
        "discriminator": discriminator.state_dict(),
    }
    if average is not None:
        for parameter in average.module.parameters():
            parameter.data.mul_(0.5)
        state["average"] = average.state_dict()
    save_checkpoint(folder / CHECKPOINT_DIR, STEPS, state)
    return folder
