"""D's features in a linear classifier (Radford et al. 2016, section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from dcgan.data.scaling import to_unit_range

GRID = 4
"""Maps are max-pooled to so many rows and columns, as in the paper."""

PENALTIES = (1e-4, 1e-3, 1e-2)
COMPONENTS = 100
_BATCH, _CHOOSING = 256, 1_000

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """One classifier. features: what it sees, of so many numbers. labels: a class.

    draw: which random choice of labelled images. accuracy: on all test images, 0 to 1.
    """

    features: str
    size: int
    labels: int
    draw: int
    accuracy: float


@torch.no_grad()
def convolutional_features(discriminator: nn.Sequential, pixels: Tensor) -> Features:
    """Of all convolutions of D after their nonlinearity, max-pooled to 4x4, in one row an image.

    pixels: uint8 (N, C, H, W). Batch norm works by what D has learnt. Smaller maps stay as they
    are; D's last layer, which gives its logits, is left out.
    """
    device = next(discriminator.parameters()).device
    was_training = discriminator.training
    discriminator.eval()
    parts = [
        _of_batch(discriminator, to_unit_range(each.to(device))) for each in pixels.split(_BATCH)
    ]
    discriminator.train(was_training)
    return torch.cat(parts).cpu().numpy()


def _of_batch(discriminator: nn.Sequential, images: Tensor) -> Tensor:
    found = []
    for layer in discriminator:
        images = layer(images)
        if isinstance(layer, nn.LeakyReLU) and images.dim() == 4:
            small = min(GRID, images.shape[-1])
            found.append(adaptive_max_pool2d(images, small).flatten(1))
    return torch.cat(found, dim=1)


def pixel_features(pixels: Tensor) -> Features:
    return to_unit_range(pixels).flatten(1).numpy()


def principal_components(train: Features) -> Callable[[Features], Features]:
    """Of the training images, without their labels."""
    found = PCA(min(COMPONENTS, *train.shape), random_state=0).fit(train)
    return lambda each: found.transform(each).astype(np.float32)


def linear_accuracies(
    spaces: Mapping[str, tuple[Features, Features]],
    train_labels: Labels,
    test_labels: Labels,
    counts: Sequence[int],
    draws: int,
    seed: int = 0,
) -> list[Accuracy]:
    """What a linear SVM reaches on features of training and test images.

    counts: of labelled images a class. draws: random choices of them, the same for all spaces.
    The penalty is chosen for each space by cross-validation on one choice of the labels.
    """
    random = np.random.default_rng(seed)
    chosen = {
        (count, draw): _some_of_each(train_labels, count, random)
        for count in counts
        for draw in range(draws)
    }
    moderate = max((each for each in counts if each * 10 <= _CHOOSING), default=min(counts))
    found = []
    for name, (train, test) in spaces.items():
        own = chosen[moderate, 0]
        classifier = _with_penalty(train[own], train_labels[own])
        for (count, draw), indices in chosen.items():
            classifier.fit(train[indices], train_labels[indices])
            accuracy = float(classifier.score(test, test_labels))
            found.append(Accuracy(name, train.shape[1], count, draw, accuracy))
    return found


def _with_penalty(features: Features, labels: Labels) -> Pipeline:
    whole = make_pipeline(StandardScaler(), LinearSVC(dual="auto", random_state=0, tol=1e-3))
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    if smallest < 3:
        return whole.set_params(linearsvc__C=PENALTIES[1])
    search = GridSearchCV(whole, {"linearsvc__C": PENALTIES}, cv=3, refit=False)
    search.fit(features, labels)
    return whole.set_params(**search.best_params_)


def _some_of_each(labels: Labels, count: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
    each = [
        random.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)
    ]
    return np.concatenate(each)
