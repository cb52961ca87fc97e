"""The arithmetic of a training: float32, TF32, or bfloat16 where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dcgan.config.schema import Config, ConfigError

_AMPERE = (8, 0)
"""The first compute capability of NVIDIA's with TF32 and bfloat16 in hardware."""


def check_precision(config: Config, device: torch.device) -> None:
    """Raise ConfigError if the device does not support the recipe's precision."""
    precision = config.training.precision
    if precision == "tf32" and not has_tf32(device):
        raise ConfigError(
            f'training.precision = "tf32": only NVIDIA GPUs since Ampere support it, and the '
            f"device is {device}.\n"
            'Use "auto", or "bf16", which is faster on GPUs and on CPUs with AMX or AVX-512 BF16.'
        )
    if precision == "bf16" and _is_nvidia(device) and not _is_ampere(device):
        raise ConfigError(
            f'training.precision = "bf16": NVIDIA GPUs before Ampere only emulate it, slower than '
            f'float32, and the device is {device}.\nUse "auto".'
        )


def describe_arithmetic(config: Config, device: torch.device) -> str:
    """The arithmetic of the networks, such as `TF32 in convolutions, else float32`."""
    match config.training.precision:
        case "bf16":
            return "bfloat16 in networks, float32 in losses and weights"
        case "tf32":
            return "TF32"
        case "auto" if has_tf32(device):
            return "TF32 in convolutions, else float32"
        case _:
            return "float32"


def set_arithmetic(config: Config, device: torch.device) -> None:
    """Set how CUDA computes in float32 in this process, and let cuDNN choose the fastest kernels.

    `auto` is PyTorch's own default: TF32 only in convolutions.
    """
    precision = config.training.precision
    torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    convolutions = "tf32" if precision in ("auto", "tf32") else "ieee"
    torch.backends.cudnn.conv.fp32_precision = convolutions  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = device.type == "cuda"


@contextmanager
def ieee_float32() -> Iterator[None]:
    """Compute in IEEE float32, whatever a training has set; also a decorator.

    So a checkpoint has the same scores during its training and afterwards.
    """
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]
    saved = matmul.fp32_precision, convolution.fp32_precision
    matmul.fp32_precision = convolution.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision, convolution.fp32_precision = saved


@contextmanager
def pytorch_default_convolutions(device: torch.device) -> Iterator[None]:
    """Compute convolutions as PyTorch does by default: in TF32 where the device has it.

    For pretrained networks whose published numbers were computed like this.
    """
    convolution = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    saved = convolution.fp32_precision
    if has_tf32(device):
        convolution.fp32_precision = "tf32"
    try:
        yield
    finally:
        convolution.fp32_precision = saved


def forward_in_precision(
    network: Callable[[Tensor], Tensor], images: Tensor, precision: str
) -> Tensor:
    """Call a network in a recipe's precision.

    bfloat16 has float32's range, so no gradient needs scaling.

    Args:
        network: A network whose only input is `images`.
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


def has_tf32(device: torch.device) -> bool:
    """Whether the device computes in TF32, as NVIDIA's do since Ampere."""
    return _is_nvidia(device) and _is_ampere(device)


def _is_nvidia(device: torch.device) -> bool:
    return device.type == "cuda" and torch.version.hip is None


def _is_ampere(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= _AMPERE
