"""The device to train on."""

from __future__ import annotations

import torch

from dcgan.config.schema import ConfigError
from dcgan.training.distributed import local_rank


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, else the CPU; raises ConfigError for a device that is not there.

    Of several processes on a machine each takes a card of its own.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and (rank := local_rank()) is not None:
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        here = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ConfigError(
            f"--device {name}: there is no such device here.\nThere is: {', '.join(here)}, or auto."
        ) from error
    return device
