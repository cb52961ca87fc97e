"""Faults of a training program that no setting of ours gives, but that others have made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor

from dcgan.config.schema import Network
from dcgan.training import loop, step
from dcgan.training.step import AdversarialStep, Batch

TURN = 30
"""Steps for which one network learns alone."""


@contextmanager
def fault(name: str | None) -> Iterator[None]:
    """Train with a fault.

    name: `one-latent`: the latents of a batch, and of a grid, are one latent repeated. `turns`: D
        learns for `TURN` steps while G stands still, then G while D does. None is no fault.
    """
    match name:
        case None:
            yield
        case "one-latent":
            changed = _repeated(step.draw_latents)
            with (
                mock.patch.object(step, "draw_latents", changed),
                mock.patch.object(loop, "draw_latents", changed),
            ):
                yield
        case "turns":
            with mock.patch.object(AdversarialStep, "update", _in_turns(AdversarialStep.update)):
                yield
        case _:
            raise ValueError(f"no such fault: {name}")


def _repeated(
    draw: Callable[[int, Network, torch.Generator], Tensor],
) -> Callable[[int, Network, torch.Generator], Tensor]:
    def first_alone(count: int, network: Network, rng: torch.Generator) -> Tensor:
        latents = draw(count, network, rng)
        return latents[:1].expand_as(latents).contiguous()

    return first_alone


def _in_turns(
    update: Callable[[AdversarialStep, Sequence[Batch]], dict[str, Tensor]],
) -> Callable[[AdversarialStep, Sequence[Batch]], dict[str, Tensor]]:
    def one_learns(self: AdversarialStep, batches: Sequence[Batch]) -> dict[str, Tensor]:
        state = self._state
        d_learns = state.step // TURN % 2 == 0
        for optimizer, learns in (
            (state.discriminator_optimizer, d_learns),
            (state.generator_optimizer, not d_learns),
        ):
            for group in optimizer.param_groups:
                rate = group.setdefault("rate", group["lr"])
                group["lr"] = rate if learns else 0.0
        return update(self, batches)

    return one_learns
