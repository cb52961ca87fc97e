"""The norms of both networks' gradients, and of the change of their weights in a step.

Measured once per block of metrics, on the device: each costs a pass over all weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

MEASURED_EVERY = 25
"""Steps between two measurements: half a block, so that each block has at least one."""


class NetworkNorms:
    """Measures a step from the weights before it and the gradients that it leaves.

    Args:
        generator: Its series begin with `G_`.
        discriminator: Its series begin with `D_`.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        networks = {"G": generator, "D": discriminator}
        self._weights: dict[str, list[Tensor]] = {
            name: list(network.parameters()) for name, network in networks.items()
        }
        self._before: dict[str, list[Tensor]] = {}

    def remember_weights(self, step: int) -> bool:
        """Copy the weights if the coming step `step` is to be measured; return whether it is."""
        if step % MEASURED_EVERY:
            return False
        for name, weights in self._weights.items():
            if name not in self._before:
                self._before[name] = [torch.empty_like(each) for each in weights]
            with torch.no_grad():
                torch._foreach_copy_(self._before[name], weights)
        return True

    @torch.no_grad()
    def measure(self, gradients: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
        """The norms of the step that was just done; the same in all processes.

        Args:
            gradients: The gradients of each network's last update, by `G` and `D`.

        Returns:
            `G_gradient_norm` and `D_gradient_norm`, L2 norms over all weights of a network;
            `G_update_ratio` and `D_update_ratio`, the norm of a network's change in this step
            divided by the norm of its weights before. Scalars on the device.
        """
        values = {
            f"{name}_gradient_norm": get_total_norm(parts) for name, parts in gradients.items()
        }
        for name, weights in self._weights.items():
            before = self._before[name]
            size = get_total_norm(before)
            for old, new in zip(before, weights, strict=True):
                old.sub_(new)
            values[f"{name}_update_ratio"] = get_total_norm(before) / size
        return values
