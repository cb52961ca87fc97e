"""Each metric against the library or a plain float64 reference, and against damaged images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
import torch.distributed as dist
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.metrics import distances
from dcgan.evaluation.metrics.class_balance import class_coverage, class_divergence
from dcgan.evaluation.metrics.distances import frechet_distance, kernel_distance
from dcgan.evaluation.metrics.image_space import (
    _expanded,
    _pyramid,
    _reduced,
    multiscale_similarity,
    sliced_wasserstein_distance,
)
from dcgan.evaluation.metrics.nearest_neighbours import (
    distances_to_training_images,
    memorisation,
    nearest,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from tests.support.without_float64 import refuse_float64_on_the_device

SOURCE = torch.Generator().manual_seed(0)
REAL = torch.randn(400, 8, generator=SOURCE, dtype=torch.float64)
FAKE = 1.2 * torch.randn(400, 8, generator=SOURCE, dtype=torch.float64) + 0.3


def test_the_frechet_distance_is_that_of_the_formula() -> None:
    first, second = REAL.double().numpy(), FAKE.double().numpy()
    covariances = [np.cov(each, rowvar=False) for each in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = first.mean(0) - second.mean(0)
    expected = means @ means + np.trace(sum(covariances) - 2 * root)
    assert frechet_distance(REAL, FAKE) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(REAL, REAL) == pytest.approx(0, abs=1e-6)
    for few in (REAL[:5], REAL[:3]):  # torchmetrics gives these some -1e-6
        assert 0 <= frechet_distance(few, few) < 1e-4


def test_the_kernel_distance_is_the_unbiased_discrepancy() -> None:
    first, second = REAL.double(), FAKE.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    count = len(first)
    within = sum(
        (kernel(each, each).sum() - kernel(each, each).trace()) / (count * (count - 1))
        for each in (first, second)
    )
    expected = float(within - 2 * kernel(first, second).mean())
    assert kernel_distance(REAL, FAKE) == pytest.approx(expected, rel=1e-4)


def test_the_balls_are_those_of_their_definitions() -> None:
    k = 5
    real, fake = REAL.double().numpy(), FAKE.double().numpy()
    radii = [
        NearestNeighbors(n_neighbors=k + 1).fit(each).kneighbors(each)[0][:, -1]
        for each in (real, fake)
    ]
    distance = np.linalg.norm(fake[:, None] - real[None], axis=-1)
    in_real = distance < radii[0][None, :]
    expected = {
        "precision": in_real.any(axis=1).mean(),
        "recall": (distance < radii[1][:, None]).any(axis=0).mean(),
        "density": in_real.sum() / (k * len(fake)),
        "coverage": (distance.min(axis=0) < radii[0]).mean(),
    }
    found = precision_recall_density_coverage(REAL, FAKE, k)
    assert found == pytest.approx(expected, abs=1e-9)


def test_two_samples_are_told_apart_as_by_scikit_learn() -> None:
    real, fake = REAL[:60], FAKE[:60]
    both = torch.cat([real, fake]).numpy()
    truth = np.repeat([1, 0], 60)
    classifier = KNeighborsClassifier(1)
    predicted = cross_val_predict(classifier, both, truth, cv=LeaveOneOut())
    right = predicted == truth
    assert two_sample_accuracy(real, fake) == pytest.approx(
        {
            "two_sample_accuracy": right.mean(),
            "two_sample_accuracy_real": right[:60].mean(),
            "two_sample_accuracy_fake": right[60:].mean(),
        }
    )


def test_memorisation_is_the_probability_that_a_fake_is_nearer() -> None:
    train, held_out = REAL[:200], REAL[200:]
    nearest_of = [torch.cdist(each, train).min(dim=1).values for each in (held_out, FAKE)]
    nearer = nearest_of[1][:, None] < nearest_of[0][None, :]
    expected = pytest.approx(nearer.double().mean().item())
    assert memorisation_of(FAKE, train, held_out) == expected


def memorisation_of(fake: Tensor, train: Tensor, held_out: Tensor) -> float:
    of_held_out, of_fake = (distances_to_training_images(each, train) for each in (held_out, fake))
    return memorisation(of_held_out, of_fake)


def test_of_training_images_the_nearest_other_one_counts() -> None:
    others = torch.cdist(REAL, REAL).fill_diagonal_(torch.inf).min(dim=1).values
    found = distances_to_training_images(REAL, REAL, belong_to_train=True)
    torch.testing.assert_close(found, others)
    halves = REAL.split(200)
    assert memorisation(found, distances_to_training_images(halves[1], REAL)) == 1


def test_too_few_images_are_an_error_and_not_a_smaller_k() -> None:
    with pytest.raises(EvaluationError, match="at least 6 images"):
        precision_recall_density_coverage(REAL[:5], FAKE)
    assert precision_recall_density_coverage(REAL[:6], FAKE[:6]).keys()
    with pytest.raises(EvaluationError, match="at least 3"):
        nearest(FAKE, REAL[:2], 3)


def test_divergence_is_that_of_the_shares() -> None:
    predicted = torch.tensor([0, 0, 0, 1])
    real = torch.tensor([0, 1, 2, 2])
    expected = 0.75 * np.log(0.75 / 0.25) + 0.25 * np.log(0.25 / 0.25)
    assert class_divergence(predicted, real, 3) == pytest.approx(expected)
    assert class_divergence(real, real, 3) == 0
    assert class_coverage(predicted, 3) == pytest.approx(2 / 3)
    assert class_divergence(torch.tensor([0, 2]), torch.tensor([0, 1]), 3) == np.log(2)
    assert class_divergence(torch.tensor([2, 2]), torch.tensor([0, 1]), 3) == np.inf


def test_a_pyramid_adds_up_to_its_images() -> None:
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=SOURCE)
    levels = list(_pyramid(images))
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    whole = levels[-1]
    for level in reversed(levels[:-1]):
        whole = level + _expanded(whole)
    torch.testing.assert_close(whole, images.float() / 127.5 - 1, atol=1e-5, rtol=0)


def test_scales_of_a_pyramid_are_those_of_karras() -> None:
    """Their code: convolve by SciPy with mirrored borders, before halving and after doubling."""
    images = torch.randn(2, 1, 32, 32, generator=SOURCE)
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(line, line)
    for image, smaller, larger in zip(images, _reduced(images), _expanded(images), strict=True):
        blurred = scipy.ndimage.convolve(image[0].numpy(), kernel, mode="mirror")
        np.testing.assert_allclose(smaller[0], blurred[::2, ::2], atol=1e-5)
        spaced = np.zeros((64, 64))
        spaced[::2, ::2] = image[0].numpy()
        expected = scipy.ndimage.convolve(spaced, 4 * kernel, mode="mirror")
        np.testing.assert_allclose(larger[0], expected, atol=1e-5)


def test_other_patches_are_farther_than_those_of_the_same_images() -> None:
    same = torch.randint(0, 256, (64, 1, 16, 16), dtype=torch.uint8, generator=SOURCE)
    stripes = torch.zeros(64, 1, 16, 16, dtype=torch.uint8)
    stripes[..., ::2] = 255
    assert sliced_wasserstein_distance(same, same) < 40, "other patches of the same images"
    assert sliced_wasserstein_distance(same, stripes) > 200


def test_similarity_is_torchmetrics_own_on_the_same_pairs() -> None:
    images = torch.randint(0, 256, (40, 1, 32, 32), dtype=torch.uint8, generator=SOURCE)
    images = avg_pool2d(images.float(), 3, 1, 1).byte()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    pairs = images[order].float()
    weights = np.array([0.0448, 0.2856, 0.3001]) / (0.0448 + 0.2856 + 0.3001)
    expected = multiscale_structural_similarity_index_measure(
        pairs[:20],
        pairs[20:],
        gaussian_kernel=False,
        kernel_size=5,
        data_range=255.0,
        betas=tuple(weights),
        normalize="relu",
    )
    assert multiscale_similarity(images) == pytest.approx(float(expected), rel=1e-5)


@pytest.fixture(autouse=True, scope="module")
def _few_subsets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "SUBSETS", 10)
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor]:
    """Two halves of scikit-learn's digits at 16x16, uint8, and the labels of the second."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images)[:, None] * (255 / 16)
    images = interpolate(images, size=16, mode="bilinear").round().byte()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    labels = torch.tensor(found.target)[order]
    return images[order[:898]], images[order[898:1796]], labels[898:1796]


def flat(images: Tensor) -> Tensor:
    return images.flatten(start_dim=1).float() / 255


def noisy(images: Tensor) -> Tensor:
    noise = 60 * torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    return (images + noise).clamp(0, 255).byte()


def blurred(images: Tensor) -> Tensor:
    return avg_pool2d(images.float(), 5, 1, 2).byte()


def measured(real: Tensor, fake: Tensor) -> dict[str, float]:
    features = flat(real), flat(fake)
    half = len(real) // 2
    return {
        "frechet": frechet_distance(*features),
        "kernel": kernel_distance(*features),
        **precision_recall_density_coverage(*features),
        "two_sample": max(abs(each - 0.5) for each in two_sample_accuracy(*features).values()),
        "memorisation": memorisation_of(features[1], features[0][:half], features[0][half:]),
        "sliced": sliced_wasserstein_distance(real, fake),
        "similarity": multiscale_similarity(fake),
    }


@pytest.fixture(scope="module")
def before(digits: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    """What is measured of the second half as it is."""
    real, fake, _ = digits
    return measured(real, fake)


def test_noise_is_seen(digits: tuple[Tensor, Tensor, Tensor], before: dict[str, float]) -> None:
    real, fake, _ = digits
    after = measured(real, noisy(fake))
    for name in ("frechet", "kernel", "two_sample", "sliced"):
        assert after[name] > before[name], name
    for name in ("precision", "density", "coverage", "similarity", "memorisation"):
        assert after[name] < before[name], name


def test_blur_is_seen(digits: tuple[Tensor, Tensor, Tensor], before: dict[str, float]) -> None:
    real, fake, _ = digits
    after = measured(real, blurred(fake))
    for name in ("frechet", "kernel", "two_sample", "sliced", "similarity"):
        assert after[name] > before[name], name
    for name in ("recall", "coverage"):
        assert after[name] < before[name], name


def test_dropped_classes_are_seen(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    real, fake, labels = digits
    few = fake[labels < 3]
    count = len(few)
    before, after = measured(real[:count], fake[:count]), measured(real[:count], few)
    for name in ("frechet", "kernel"):
        assert after[name] > before[name], name
    for name in ("recall", "coverage"):
        assert after[name] < before[name], name
    assert class_coverage(labels[labels < 3], 10) == pytest.approx(0.3)
    assert class_divergence(labels[labels < 3], labels, 10) > 1


def test_duplicated_samples_are_seen(
    digits: tuple[Tensor, Tensor, Tensor], before: dict[str, float]
) -> None:
    real, fake, _ = digits
    copies = fake[:20].repeat(45, 1, 1, 1)[: len(fake)]
    after = measured(real, copies)
    for name in ("frechet", "kernel", "two_sample", "similarity"):
        assert after[name] > before[name], name
    for name in ("recall", "coverage"):
        assert after[name] < before[name], name


def test_a_memorised_training_set_is_seen(digits: tuple[Tensor, Tensor, Tensor]) -> None:
    real, fake, _ = digits
    train, held_out = flat(real), flat(fake)
    assert memorisation_of(held_out, train, held_out) == pytest.approx(0.5)
    assert memorisation_of(train, train, held_out) == 1
    assert memorisation_of(flat(noisy(fake)), train, held_out) < 0.1
    copies = two_sample_accuracy(train, train)
    assert copies["two_sample_accuracy"] == 0, "the nearest of each is its copy"


def test_what_is_computed_on_a_device_needs_no_float64_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "SUBSETS", 2)
    real, fake = REAL.float(), FAKE.float()

    def scores() -> dict[str, float]:
        return {
            "kid": kernel_distance(real, fake),
            **precision_recall_density_coverage(real, fake),
            **two_sample_accuracy(real, fake),
            "farthest": distances_to_training_images(fake, real).max().item(),
        }

    expected = scores()
    converted = refuse_float64_on_the_device(monkeypatch)
    assert scores() == expected
    assert len(converted) == 4  # of which the means are taken


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_the_process_that_evaluates_does_not_wait_for_the_others(
    distance: Callable[[Tensor, Tensor], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    alone = distance(features, features + 1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        for exchange in ("barrier", "all_gather"):
            monkeypatch.setattr(dist, exchange, lambda *_, **__: pytest.fail("it waits"))
        assert distance(features, features + 1) == alone
    finally:
        dist.destroy_process_group()
