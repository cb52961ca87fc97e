"""Visualises D's features (Radford et al. 2016, section 6.2 and figure 5)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from dcgan.data.scaling import to_unit_range
from dcgan.probes.discriminators import trained_discriminator, untrained_discriminator
from dcgan.run_folder.trained_run import TrainedRun

SEARCHED_IMAGES = 2_000
"""How many training images at most are searched for the strongest responses."""

IMAGES_PER_FEATURE = 4
_FILTERS, _COLUMNS = 32, 8
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Responses:
    """The images that single features of D's last hidden convolution respond to most.

    Attributes:
        features: The numbers of the features.
        images: In [-1, 1], float (features, images, C, H, W).
        gradients: Guided backpropagation of each response to its image, of the same shape.
    """

    features: list[int]
    images: Tensor
    gradients: Tensor


@dataclass(frozen=True, eq=False)
class DiscriminatorFeatures:
    """Images of the first and the last features of a D, scaled for display.

    Attributes:
        filters: Of the first convolution, in rows and columns, (rows, columns, C, k, k); each
            divided by its largest absolute value.
        responses: One row per feature of the last convolution, (features, columns, C, H, W);
            each image in [-1, 1] is followed by its gradient, divided by its largest absolute
            value.
    """

    filters: Tensor
    responses: Tensor


def compare_features(run: TrainedRun, features: int) -> dict[str, DiscriminatorFeatures]:
    """The features of D next to those of a D with random weights.

    Args:
        run: The run, with its networks on the CPU.
        features: How many features of the last convolution, at most as many as it has.

    Returns:
        By the name of the network, the trained one first.

    Raises:
        ProbeError: D's weights are not finite.
        StoreError: The run's images have changed since it was trained.
        DataError: The run's images cannot be loaded.
    """
    pixels = run.images().pixels
    # Random ones, because the images of a folder are sorted by class.
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    pixels = pixels[order[:SEARCHED_IMAGES]]
    networks = {
        "trained D": trained_discriminator(run),
        "random weights": untrained_discriminator(run.config),
    }
    return {name: _features_of(network, pixels, features) for name, network in networks.items()}


def _features_of(
    discriminator: nn.Sequential, pixels: Tensor, features: int
) -> DiscriminatorFeatures:
    filters = _scale_to_largest(first_filters(discriminator))[:_FILTERS]
    columns = min(_COLUMNS, len(filters))
    full_rows = filters[: len(filters) // columns * columns]
    responses = strongest_responses(
        discriminator, pixels, features=features, images=IMAGES_PER_FEATURE
    )
    pairs = torch.stack([responses.images, _scale_to_largest(responses.gradients)], dim=2)
    return DiscriminatorFeatures(full_rows.unflatten(0, (-1, columns)), pairs.flatten(1, 2))


def _scale_to_largest(values: Tensor) -> Tensor:
    """To [-1, 1]: each filter or gradient (..., C, H, W) divided by its largest absolute value."""
    return values / values.abs().amax((-3, -2, -1), keepdim=True).clamp_min(1e-12)


def first_filters(discriminator: nn.Sequential) -> Tensor:
    """The weights of D's first convolution, (filters, C, k, k)."""
    first = next(layer for layer in discriminator if isinstance(layer, nn.Conv2d))
    return first.weight.detach().cpu()


def strongest_responses(
    discriminator: nn.Sequential, pixels: Tensor, *, features: int, images: int
) -> Responses:
    """Find the images that the features of D's last hidden convolution respond to most.

    Gradients are guided (Springenberg et al. 2015, section 3.4): in each nonlinearity only
    positive values go back, and none where its input is negative.

    Args:
        discriminator: D, on any device; it is not changed.
        pixels: The images to search, uint8 (N, C, H, W).
        features: How many features to show, from the first on; all if there are fewer.
        images: How many images per feature, N at most: those with the largest maximum over its
            map.
    """
    images = min(images, len(pixels))
    hidden = _up_to_last_hidden_convolution(discriminator)
    with torch.no_grad():
        parts = [hidden(to_unit_range(batch)).amax((2, 3)) for batch in pixels.split(_BATCH)]
    maxima = torch.cat(parts)[:, :features]
    best = maxima.topk(images, dim=0).indices.T  # (features, images)
    best_images = to_unit_range(pixels[best.flatten()])
    inputs = best_images.clone().requires_grad_()
    responses = hidden(inputs).amax((2, 3))
    numbers = torch.arange(maxima.shape[1]).repeat_interleave(images)
    (gradients,) = torch.autograd.grad(responses.gather(1, numbers[:, None]).sum(), inputs)
    return Responses(
        list(range(maxima.shape[1])),
        best_images.unflatten(0, best.shape),
        gradients.unflatten(0, best.shape),
    )


class _Guided(nn.Module):
    """LeakyReLU that lets only positive gradients through, and only where it is active."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, maps: Tensor) -> Tensor:
        activations = leaky_relu(maps, self.slope)
        if activations.requires_grad:
            activations.register_hook(lambda gradient: gradient.clamp_min(0) * (maps > 0))
        return activations


def _up_to_last_hidden_convolution(discriminator: nn.Sequential) -> nn.Sequential:
    """A copy that ends after the nonlinearity of the last convolution that has one."""
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
