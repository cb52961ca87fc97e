"""Trains recipes on random images in float64, in one of the processes of a training."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from dcgan.config.loading import load_config, parse_override
from dcgan.training.checkpoint import no_checkpoints
from dcgan.training.distributed import World, process_group
from dcgan.training.loop import train
from tracking.events import Event, Metrics

CPU = torch.device("cpu")


Metric = dict[str, list[float]]


def trained(world: World, recipe: str, *settings: str) -> Metric:
    config = load_config(recipe, [parse_override(setting) for setting in settings])
    dataset = config.dataset
    shape = (51, dataset.channels, *dataset.sides)
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=source)
    metrics: Metric = {}

    def listen(event: Event) -> None:
        if isinstance(event, Metrics):
            for path, values in event.values.items():
                if path.startswith("training/"):
                    metrics.setdefault(path, []).extend(values)

    train(config, pixels, device=CPU, emit=listen, save=no_checkpoints, world=world)
    return metrics


def main(trainings: str, output: str) -> None:
    """Train one after the other, and write their metrics.

    `trainings` is a JSON file that holds, for the name of each training, its recipe and then its
    settings (KEY=VALUE); `output` gets, for each name, the values of each metric.
    """
    torch.set_default_dtype(torch.float64)
    with process_group(CPU) as world:
        metrics = {
            name: trained(world, *arguments)
            for name, arguments in json.loads(Path(trainings).read_text()).items()
        }
        if world.rank == 0:
            Path(output).write_text(json.dumps(metrics))
