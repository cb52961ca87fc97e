"""Walks through G's latent space (Radford et al. 2016, sections 6.1 and 6.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcgan.config.schema import Network
from dcgan.sampling import draw_latents, generate
from tracking.errors import UserError

_BATCH, _LEAST = 256, 20


class ProbeError(UserError):
    """A probe that this run cannot be put to, in words for the user."""


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """What becomes of images of one class along the way to another.

    strengths: multiples of the difference of the two mean latents. images: float (rows,
    strengths, C, H, W) in [-1, 1]. shares, control: of the images at each strength that the
    classifier takes for the other class, along the difference and along a random direction of
    the same length. starts: how many latents these are shares of.
    """

    strengths: list[float]
    images: Tensor
    shares: list[float]
    control: list[float]
    starts: int


def interpolate(
    generator: nn.Module, network: Network, *, rows: int, columns: int, seed: int
) -> Tensor:
    """Images on `rows` ways between random latents, float (rows, columns, C, H, W) in [-1, 1].

    On great circles where latents are normal (White 2016), on straight lines where they are
    uniform. G is on the CPU.
    """
    ends = draw_latents(2 * rows, network, torch.Generator().manual_seed(seed))
    first, last = ends.flatten(1).chunk(2)
    between = slerp if network.latent_law == "normal" else torch.lerp
    ways = [between(first, last, t) for t in torch.linspace(0, 1, columns)]
    latents = torch.stack(ways, dim=1).reshape(-1, network.latent_size, 1, 1)
    images = _images(generator, latents)
    return images.view(rows, columns, *images.shape[1:])


def slerp(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Points on great circles (Shoemake 1985). first, last: (N, D); share: 0 is first, 1 last.

    The length goes linearly from that of the one to that of the other.
    """
    lengths = [each.norm(dim=1, keepdim=True) for each in (first, last)]
    one, other = first / lengths[0], last / lengths[1]
    angle = (one * other).sum(1, keepdim=True).clamp(-1, 1).acos().clamp_min(1e-6)
    direction = ((1 - share) * angle).sin() * one + (share * angle).sin() * other
    found: Tensor = direction / angle.sin() * torch.lerp(lengths[0], lengths[1], share)
    return found


def arithmetic(
    generator: nn.Module,
    network: Network,
    classify: Callable[[Tensor], Tensor],
    *,
    from_class: int,
    to_class: int,
    strengths: list[float],
    rows: int = 8,
    samples: int = 10_000,
    seed: int = 0,
) -> Arithmetic:
    """Shift latents of the class `source` along the mean of `target`'s less that of its own.

    classify: images in [-1, 1] to classes, int64 (N,). samples: latents that are drawn and
    classified for the two means. Raises ProbeError where G draws too few of a class.
    """
    random = torch.Generator().manual_seed(seed)
    latents = draw_latents(samples, network, random)
    classes = torch.cat([classify(_images(generator, each)) for each in latents.split(_BATCH)])
    of_source, of_target = (latents[classes == each] for each in (from_class, to_class))
    for name, found in ((from_class, of_source), (to_class, of_target)):
        if len(found) < _LEAST:
            raise ProbeError(
                f"Of {samples:,} images by this generator the classifier takes {len(found)} for "
                f"class {name}:\ntoo few for a mean. Take another class, or a run that trained "
                "longer."
            )
    difference = of_target.mean(0) - of_source.mean(0)
    other = torch.randn(difference.shape, generator=random)
    other *= difference.norm() / other.norm()
    # Other latents than those of the mean, lest the mean speak for itself.
    fresh = draw_latents(samples, network, random)
    begins = torch.cat([classify(_images(generator, each)) for each in fresh.split(_BATCH)])
    starts = fresh[begins == from_class][:500]

    def share(direction: Tensor, strength: float) -> float:
        shifted = (starts + strength * direction).split(_BATCH)
        found = torch.cat([classify(_images(generator, each)) for each in shifted])
        return (found == to_class).double().mean().item()

    shown = torch.stack([starts[:rows] + each * difference for each in strengths], dim=1)
    images = _images(generator, shown.flatten(0, 1))
    return Arithmetic(
        strengths=strengths,
        images=images.view(*shown.shape[:2], *images.shape[1:]),
        shares=[share(difference, each) for each in strengths],
        control=[share(other, each) for each in strengths],
        starts=len(starts),
    )


def _images(generator: nn.Module, latents: Tensor) -> Tensor:
    return torch.cat([generate(generator, each, "eval") for each in latents.split(_BATCH)])
