"""What D's features look for (Radford et al. 2016, section 6.2 and figure 5)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from dcgan.data.scaling import to_unit_range

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Responses:
    """The images that single features of D's last hidden convolution respond to most.

    features: their numbers. images: float (features, images, C, H, W) in [-1, 1].
    gradients: guided backpropagation of each response to its image, of the same shape.
    """

    features: list[int]
    images: Tensor
    gradients: Tensor


def first_filters(discriminator: nn.Sequential) -> Tensor:
    """The weights of D's first convolution, (filters, C, k, k)."""
    first = next(layer for layer in discriminator if isinstance(layer, nn.Conv2d))
    return first.weight.detach().cpu()


def strongest_responses(
    discriminator: nn.Sequential, pixels: Tensor, *, features: int, images: int
) -> Responses:
    """Of the first `features` features, the `images` images whose maximum is largest.

    pixels: uint8 (N, C, H, W). Gradients are guided (Springenberg et al. 2015, section 3.4):
    in each nonlinearity only what is positive goes back.
    """
    hidden = _up_to_last_hidden_convolution(discriminator)
    with torch.no_grad():
        parts = [hidden(to_unit_range(each)).amax((2, 3)) for each in pixels.split(_BATCH)]
    maxima = torch.cat(parts)[:, :features]
    best = maxima.topk(images, dim=0).indices.T  # (features, images)
    shown = to_unit_range(pixels[best.flatten()])
    given = shown.clone().requires_grad_()
    responses = hidden(given).amax((2, 3))
    numbers = torch.arange(maxima.shape[1]).repeat_interleave(images)
    (gradients,) = torch.autograd.grad(responses.gather(1, numbers[:, None]).sum(), given)
    shape = best.shape
    return Responses(
        list(range(maxima.shape[1])), shown.unflatten(0, shape), gradients.unflatten(0, shape)
    )


class _Guided(nn.Module):
    """LeakyReLU whose gradient lets only what is positive through."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, given: Tensor) -> Tensor:
        found = leaky_relu(given, self.slope)
        if found.requires_grad:
            found.register_hook(lambda gradient: gradient.clamp_min(0))
        return found


def _up_to_last_hidden_convolution(discriminator: nn.Sequential) -> nn.Sequential:
    """A copy that ends after the nonlinearity of D's last convolution that has one."""
    layers = list(copy.deepcopy(discriminator).cpu().eval())
    last = max(
        number
        for number, layer in enumerate(layers)
        if isinstance(layer, nn.LeakyReLU) and _is_convolutional(layers[:number])
    )
    guided = [
        _Guided(layer.negative_slope) if isinstance(layer, nn.LeakyReLU) else layer
        for layer in layers[: last + 1]
    ]
    return nn.Sequential(*guided)


def _is_convolutional(layers: list[nn.Module]) -> bool:
    return not any(isinstance(layer, nn.Flatten) for layer in layers)
