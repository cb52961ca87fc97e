"""D's features in a linear classifier (Radford et al. 2016, section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from dcgan.data.scaling import to_unit_range
from dcgan.probes.discriminators import trained_discriminator, untrained_discriminator
from dcgan.probes.labelled_images import LabelledSplit
from dcgan.probes.row_space_svc import RowSpaceSVC
from dcgan.run_folder.trained_run import TrainedRun

GRID = 4
"""Rows and columns to which feature maps are max-pooled, as in the paper."""

PENALTIES = (1e-4, 1e-3, 1e-2)
SETTINGS = (
    {"standardscaler": [StandardScaler()], "rowspacesvc__C": PENALTIES},
    {"standardscaler": ["passthrough"], "rowspacesvc__C": (1e-3, 1e-2, 1e-1)},
)
"""Features standardised, or unchanged, which suits raw pixels better."""

_FOLDS = 3
_FITS_OF_SEARCH = (_FOLDS - 1) * sum(len(each["rowspacesvc__C"]) for each in SETTINGS)
"""The work of the search, in fits to all of its images; each fold leaves out one in three."""

COMPONENTS = 100
_BATCH = 256

_LABELS_TO_CHOOSE_PENALTY = 1_000
"""About how many labels of ten classes the penalty is chosen with."""

SPACE_KEYS = {
    "D": "discriminator",
    "D, random weights": "random_discriminator",
    "principal components": "principal_components",
    "pixels": "pixels",
}
"""Name of each space for readers -> its name in tracked values."""

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProbeAccuracy:
    """The accuracy of one linear classifier.

    Attributes:
        space: The features that it sees.
        dimension: How many numbers these are per image.
        labels_per_class: How many labelled images per class it was fitted to.
        split: Which random choice of labelled images these were, from 0.
        accuracy: On all test images, 0 to 1.
    """

    space: str
    dimension: int
    labels_per_class: int
    split: int
    accuracy: float


def compare_feature_spaces(
    run: TrainedRun,
    images: LabelledSplit,
    max_labels: int,
    splits: int,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> list[ProbeAccuracy]:
    """Classify images by D's features and by three controls that see the same labels.

    The controls are a D with random weights, principal components, and raw pixels.

    Args:
        run: The run whose D is probed, with its networks on the CPU.
        images: Labelled images to fit to and to test on.
        max_labels: Labels per class at most; 10, 30, 100, ... up to it are tried.
        splits: Random choices of the labelled images.
        seed: The seed of these choices.
        progress: Called with the share of the classifiers' work that is done, 0 to 1.

    Returns:
        One entry per space, number of labels and split; the spaces are those of `SPACE_KEYS`.

    Raises:
        ProbeError: D's weights are not finite.
    """
    parts = (images.train.pixels, images.test.pixels)
    train_pixels, test_pixels = map(pixel_features, parts)
    project = principal_components(train_pixels)
    spaces = {}
    for name, discriminator in (
        ("D", trained_discriminator(run)),
        ("D, random weights", untrained_discriminator(run.config)),
    ):
        train, test = (convolutional_features(discriminator, pixels) for pixels in parts)
        spaces[name] = train, test
    spaces["principal components"] = project(train_pixels), project(test_pixels)
    spaces["pixels"] = train_pixels, test_pixels
    smallest = min(size for size in images.train.card.class_sizes if size)
    counts = label_counts(min(max_labels, smallest))
    return linear_accuracies(
        spaces, images.train_labels, images.test_labels, counts, splits, seed, progress
    )


def label_counts(most: int) -> list[int]:
    """10, 30, 100, 300, ... up to `most`; `most` itself if it is less than 10."""
    counts = [count for decade in range(1, 7) for count in (10**decade, 3 * 10**decade)]
    return [count for count in counts if count <= most] or [most]


def tracked_values(accuracies: Sequence[ProbeAccuracy]) -> dict[str, float]:
    """The tracked results: mean accuracies with the most labels, and their number."""
    most = max(row.labels_per_class for row in accuracies)
    values: dict[str, float] = {}
    for space, key in SPACE_KEYS.items():
        values[f"{key}_accuracy"] = fmean(
            row.accuracy
            for row in accuracies
            if row.space == space and row.labels_per_class == most
        )
    return values | {"labels_a_class": most}


@torch.no_grad()
def convolutional_features(discriminator: nn.Sequential, pixels: Tensor) -> Features:
    """Features of all of D's convolutions after their nonlinearity, max-pooled to 4x4, (N, D).

    pixels: uint8 (N, C, H, W). Batch norm uses the statistics that D has learnt. Maps smaller
    than 4x4 stay as they are; D's last layer, which gives its logits, is left out.
    """
    device = next(discriminator.parameters()).device
    was_training = discriminator.training
    discriminator.eval()
    parts = [
        _pooled_maps(discriminator, to_unit_range(batch.to(device)))
        for batch in pixels.split(_BATCH)
    ]
    discriminator.train(was_training)
    return torch.cat(parts).cpu().numpy()


def _pooled_maps(discriminator: nn.Sequential, images: Tensor) -> Tensor:
    pooled = []
    for layer in discriminator:
        images = layer(images)
        if isinstance(layer, nn.LeakyReLU) and images.dim() == 4:
            height, width = (min(GRID, side) for side in images.shape[-2:])
            pooled.append(adaptive_max_pool2d(images, (height, width)).flatten(1))
    return torch.cat(pooled, dim=1)


def pixel_features(pixels: Tensor) -> Features:
    """uint8 images (N, C, H, W) as they are, float32 (N, C * H * W) in [-1, 1]."""
    return to_unit_range(pixels).flatten(1).numpy()


def principal_components(train: Features) -> Callable[[Features], Features]:
    """A projection (N, D) -> (N, 100) to the principal components of the training images."""
    components = PCA(min(COMPONENTS, *train.shape), random_state=0).fit(train)
    return lambda features: components.transform(features).astype(np.float32)


def linear_accuracies(
    spaces: Mapping[str, tuple[Features, Features]],
    train_labels: Labels,
    test_labels: Labels,
    counts: Sequence[int],
    splits: int,
    seed: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> list[ProbeAccuracy]:
    """The test accuracy of a linear SVM in each space.

    The penalty and the scaling are chosen for each space by cross-validation on one choice of the
    labels.

    Args:
        spaces: Space -> features of the training images (N, D) and of the test images (M, D).
        train_labels: (N,).
        test_labels: (M,).
        counts: Numbers of labelled images per class.
        splits: Random choices of the labelled images, the same for all spaces.
        seed: The seed of these choices.
        progress: Called with the share of the work that is done, 0 to 1.

    Returns:
        One entry per space, count and split.
    """
    rng = np.random.default_rng(seed)
    chosen = {
        (count, split): _choose_per_class(train_labels, count, rng)
        for count in counts
        for split in range(splits)
    }
    moderate = max(
        (count for count in counts if count * 10 <= _LABELS_TO_CHOOSE_PENALTY),
        default=min(counts),
    )
    search_work = _FITS_OF_SEARCH * len(chosen[moderate, 0])
    work = search_work + sum(map(len, chosen.values()))
    all_work = work * sum(train.shape[1] for train, _ in spaces.values())
    done = 0
    accuracies = []
    for space, (train, test) in spaces.items():
        indices = chosen[moderate, 0]
        classifier = _with_best_settings(train[indices], train_labels[indices])
        done += search_work * train.shape[1]
        progress(done / all_work)
        for (count, split), indices in chosen.items():
            classifier.fit(train[indices], train_labels[indices])
            done += len(indices) * train.shape[1]
            progress(done / all_work)
            accuracy = float(classifier.score(test, test_labels))
            accuracies.append(ProbeAccuracy(space, train.shape[1], count, split, accuracy))
    return accuracies


def _with_best_settings(features: Features, labels: Labels) -> Pipeline:
    classifier = make_pipeline(
        StandardScaler(), RowSpaceSVC(dual="auto", random_state=0, tol=1e-3, max_iter=5_000)
    )
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    if smallest < 3:
        return classifier.set_params(rowspacesvc__C=PENALTIES[1])
    search = GridSearchCV(classifier, list(SETTINGS), cv=_FOLDS, refit=False)
    search.fit(features, labels)
    return classifier.set_params(**search.best_params_)


def _choose_per_class(labels: Labels, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Indices of at most `count` random images per class."""
    indices = [
        rng.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)
    ]
    return np.concatenate(indices)
