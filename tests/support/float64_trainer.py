"""Trains a recipe on random images in float64 and writes its metrics: `torchrun` starts it.

float64_trainer.py RECIPE OUTPUT.json [KEY=VALUE]...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.distributed import process_group
from dcgan.training.loop import train
from tracking.events import Event, Metrics


def main(recipe: str, output: str, *settings: str) -> None:
    torch.set_default_dtype(torch.float64)
    config = load_config(recipe, [parse_override(setting) for setting in settings])
    dataset = config.dataset
    shape = (50, dataset.channels, dataset.image_size, dataset.image_size)
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)
    metrics: dict[str, list[float]] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Metrics):
            for path, values in event.values.items():
                if path.startswith("training/"):
                    metrics.setdefault(path, []).extend(values)

    device = torch.device("cpu")
    with process_group(device) as world:
        train(config, pixels, device=device, emit=listen, save=no_checkpoints, world=world)
        if world.rank == 0:
            Path(output).write_text(json.dumps(metrics))


if __name__ == "__main__":
    main(*sys.argv[1:])
