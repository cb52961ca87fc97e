"""The device to train on: choosing, checking and naming it."""

from __future__ import annotations

import os
import platform

import torch
from torch.nn.functional import conv2d

from dcgan.config.schema import ConfigError, ProcessError
from dcgan.training.torchrun import local_rank

_INDEXED = ("cuda", "xpu")
"""The types of which a machine can have several GPUs; ROCm's are called cuda too."""

_VISIBLE_GPUS = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
)
"""Variables by which Slurm and others show each process only its own GPU."""


def choose_device(name: str) -> torch.device:
    """Choose a device, make it PyTorch's current one, and run a small kernel on it.

    Args:
        name: A device's name such as `cpu`, `mps` or `cuda:1`. `auto` is the machine's
            accelerator (CUDA or ROCm, MPS, XPU), or the CPU if it has none. Without an index,
            each of several processes on one machine gets its own GPU.

    Returns:
        The device, with its index if there can be several of its type.

    Raises:
        ConfigError: There is no such device, or it cannot compute.
        ProcessError: There are fewer GPUs than processes.
    """
    name = (accelerator_type() or "cpu") if name == "auto" else name
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _no_such_device(name) from error
    if device.type in _INDEXED and device.type == accelerator_type():
        index = _own_gpu(device.type) if device.index is None else device.index
        if index >= torch.accelerator.device_count():
            raise _no_such_device(name)
        device = torch.device(device.type, index)
    try:
        _run_kernel(device)
    except (RuntimeError, AssertionError) as error:
        if device.type != accelerator_type():
            raise _no_such_device(name) from error
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"{device} ({device_name(device)}) cannot compute with PyTorch {torch.__version__}: "
            f"{reason}\n"
            "If no other process uses all of it, install a build of PyTorch for this GPU and its "
            "driver\n(https://pytorch.org). Or use the device cpu."
        ) from error
    return device


def accelerator_type() -> str | None:
    """The type of this machine's accelerator, such as `cuda` or `mps`; None without one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return None if accelerator is None else accelerator.type


def devices_for_runs(name: str) -> list[str]:
    """The devices over which independent runs can be spread.

    Args:
        name: `auto` or a device's name.

    Returns:
        Every GPU of the type that `name` means, such as `cuda:0` and `cuda:1`; `name` alone if
        it says which one, or if there cannot be several.
    """
    kind = accelerator_type() if name == "auto" else name
    if kind not in _INDEXED or kind != accelerator_type():
        return [name]
    return [f"{kind}:{index}" for index in range(torch.accelerator.device_count())] or [name]


def device_name(device: torch.device) -> str:
    """The maker's name of the device, such as `NVIDIA H100 80GB HBM3`."""
    if device.type == "mps":
        get_name = getattr(torch.backends.mps, "get_name", platform.processor)
        return str(get_name())
    if device.type in _INDEXED:
        return str(torch.get_device_module(device).get_device_name(device))
    return platform.machine()


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all queued work; the CPU queues none."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _own_gpu(kind: str) -> int:
    """The index of this process's GPU; raises ProcessError if it has none."""
    rank, visible = local_rank() or 0, torch.accelerator.device_count()
    if rank < visible:
        return rank
    if visible == 1 and any(name in os.environ for name in _VISIBLE_GPUS):
        return 0  # each process sees only its own GPU
    names = f"{kind}:0" if visible == 1 else f"{kind}:0 to {kind}:{visible - 1}"
    raise ProcessError(
        f"This process has no GPU of its own: LOCAL_RANK is {rank}, but it sees only "
        f"{visible} of type {kind} ({names}).\n"
        f"Start at most {visible} on this machine (--nproc-per-node {visible}), show each process "
        f"one GPU of its own by {_VISIBLE_GPUS[0]}, or use --device cpu."
    )


def _run_kernel(device: torch.device) -> None:
    """Compute something small: a GPU for which a build has no kernels still allocates memory.

    A convolution, because cuDNN drops support for old GPUs before PyTorch does.
    """
    if device.type == "cpu":
        return
    if device.type in _INDEXED and device.type == accelerator_type():
        # Streams, graphs and pinned memory are those of the current device.
        torch.accelerator.set_device_index(device)
    images, filters = torch.ones(1, 1, 4, 4, device=device), torch.ones(1, 1, 3, 3, device=device)
    conv2d(images, filters).sum().item()


def _no_such_device(name: str) -> ConfigError:
    kind = accelerator_type()
    accelerators = [] if kind is None else devices_for_runs(kind)
    return ConfigError(
        f"device = {name}: there is no such device on this machine.\n"
        f"Choose one of: {', '.join(('cpu', *accelerators))}, or auto."
    )
