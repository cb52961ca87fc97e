"""The device to train on."""

from __future__ import annotations

import torch

from dcgan.config.schema import ConfigError
from dcgan.training.distributed import local_rank


def choose_device(name: str) -> torch.device:
    """The device of a name such as `cuda:1`; `auto` is CUDA if available, otherwise the CPU.

    Of several processes on one machine, each gets a GPU of its own. Raises ConfigError if the
    device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and (rank := local_rank()) is not None:
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ConfigError(
            f"--device {name}: there is no such device on this machine.\n"
            f"Choose one of: {', '.join(devices)}, or auto."
        ) from error
    return device
