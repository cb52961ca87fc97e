"""The parts of a training step that torch.compile compiles: both networks, and the losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from dcgan.cuda.fast_layers import FastLayers
from dcgan.training.losses import AdversarialLoss


class CompiledForFullBatches(nn.Module):
    """A compiled network; shorter batches, which would compile it again, use the plain one.

    Compiled before DistributedDataParallel wraps it, because the wrapper cannot be compiled.

    Args:
        network: Shared with the caller, who draws grids and saves checkpoints with it.
        full: Images of this process in a full batch.
    """

    def __init__(self, network: nn.Module, full: int) -> None:
        super().__init__()
        self._network = network
        self._compiled = _compile(network)
        self._full = full

    def forward(self, images: Tensor, parts: int = 1) -> Tensor:
        """The network's output.

        Args:
            images: The network's input, (N, ...).
            parts: Number of equal parts of the batch, each of which has its own batch norm if the
                network is `FastLayers`.
        """
        called = self._compiled if len(images) == self._full * parts else self._network
        options = {"parts": parts} if isinstance(self._network, FastLayers) else {}
        output: Tensor = called(images, **options)
        return output


def loss_compiled_for_full_batches(loss: AdversarialLoss, full: int) -> AdversarialLoss:
    """A loss whose functions are compiled; shorter batches use the plain ones.

    Args:
        loss: Its functions each take some ten kernels, which become one.
        full: Images of this process in a full batch.
    """
    return AdversarialLoss(
        **{each.name: _for_full_batches(getattr(loss, each.name), full) for each in fields(loss)}
    )


def _for_full_batches(function: Callable[..., Tensor], full: int) -> Callable[..., Tensor]:
    compiled = _compile(function)

    def called(logits: Tensor, *targets: Tensor) -> Tensor:
        return (compiled if len(logits) == full else function)(logits, *targets)

    return called


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled for the shapes that it is called with.

    Inductor would avoid channels-last memory, in which convolutions are faster, for networks with
    a layer like D's last.
    """
    compiled: Callable[..., Any] = torch.compile(
        function, dynamic=False, options={"force_layout_optimization": True}
    )
    return compiled
