"""The arithmetic of a training: float32, TF32, or bfloat16 where it is safe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dcgan.config.schema import Config, ConfigError


def check_precision(config: Config, device: torch.device) -> None:
    """Raise ConfigError where the device has not got the recipe's arithmetic."""
    if config.training.precision == "tf32" and device.type != "cuda":
        raise ConfigError(
            f'training.precision = "tf32": it is an arithmetic of NVIDIA GPUs, and the device '
            f"is {device}.\n"
            'Take "fp32", or "bf16", which is faster on CPUs with AMX or AVX-512 BF16.'
        )


def set_matmul_precision(config: Config) -> None:
    """Say whether CUDA's products of float32 use TF32, for the whole process; fp32 says no.

    PyTorch's own default is TF32 in convolutions and not in matrix products.
    """
    precision = "tf32" if config.training.precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]


def forward_in_precision(
    network: Callable[[Tensor], Tensor], images: Tensor, precision: str
) -> Tensor:
    """network(given); with `bf16` its convolutions and products in bfloat16.

    The result is float32 then too, so that losses are; weights and Adam's moments always are.
    bfloat16 has float32's range, so no gradient needs scaling.
    """
    if precision != "bf16":
        return network(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return network(images).float()
