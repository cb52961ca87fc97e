"""The arithmetic of a training: float32, TF32, or bfloat16 where that is safe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dcgan.config.schema import Config, ConfigError


def check_precision(config: Config, device: torch.device) -> None:
    """Raise ConfigError if the device does not support the recipe's precision."""
    if config.training.precision == "tf32" and device.type != "cuda":
        raise ConfigError(
            f'training.precision = "tf32": only NVIDIA GPUs support it, and the device is '
            f"{device}.\n"
            'Use "fp32", or "bf16", which is faster on CPUs with AMX or AVX-512 BF16.'
        )


def set_matmul_precision(config: Config) -> None:
    """Turn TF32 on or off for CUDA's float32 matmuls and convolutions, in the whole process.

    It must be set either way: PyTorch's default is TF32 in convolutions but not in matmuls.
    """
    precision = "tf32" if config.training.precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]


def forward_in_precision(
    network: Callable[[Tensor], Tensor], images: Tensor, precision: str
) -> Tensor:
    """Call a network in a recipe's precision.

    bfloat16 has float32's range, so no gradient needs scaling.

    Args:
        network: Takes `images` alone.
        images: The network's input, float32 (N, ...).
        precision: `bf16` runs convolutions and matmuls in bfloat16; any other changes nothing
            here. Weights and Adam's moments are always float32.

    Returns:
        The network's output, float32, so that losses are float32 too.
    """
    if precision != "bf16":
        return network(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return network(images).float()
