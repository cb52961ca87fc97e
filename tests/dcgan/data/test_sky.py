"""The synthetic sky: the same for a seed, varied, and physically what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from dcgan.config.dataset import Dataset
from dcgan.data.loading import load_images
from dcgan.data.sources.sky import SKY_CLASSES, black_body, limb_darkening, render_sky, sersic


@pytest.fixture(scope="module")
def sky() -> tuple[np.ndarray, np.ndarray]:
    return render_sky()


def test_two_hundred_images_of_five_classes(sky):
    pixels, labels = sky
    assert pixels.shape == (200, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert len(SKY_CLASSES) == 5
    assert np.bincount(labels).tolist() == [40] * 5


def test_an_image_depends_on_the_seed_and_its_number_alone(sky):
    pixels, _ = sky
    np.testing.assert_array_equal(render_sky(7)[0], pixels[:7])
    assert (render_sky(7, seed=1)[0] != pixels[:7]).any(axis=(1, 2, 3)).all()


def test_no_two_images_are_alike_and_none_is_empty_or_burnt_out(sky):
    pixels, _ = sky
    assert len({image.tobytes() for image in pixels}) == 200
    brightness = pixels.max(axis=-1)
    assert (brightness > 60).mean(axis=(1, 2)).min() > 0.01
    assert (brightness == 255).mean(axis=(1, 2)).max() < 0.4


def test_the_classes_differ_as_they_should(sky):
    """Spirals are bluer than ellipticals; planets and moons have discs; star fields have points."""
    pixels, labels = sky
    wide = pixels.astype(float)
    blueness = wide[..., 2].sum(axis=(1, 2)) / wide[..., 0].sum(axis=(1, 2))
    by_class = {name: labels == number for number, name in enumerate(SKY_CLASSES)}
    assert (
        blueness[by_class["spiral galaxy"]].mean() > blueness[by_class["elliptical galaxy"]].max()
    )
    colour = (wide.max(axis=-1) - wide.min(axis=-1)).mean(axis=(1, 2))
    assert colour[by_class["moon"]].mean() < colour[by_class["planet"]].mean()
    lit = (wide.max(axis=-1) > 90).mean(axis=(1, 2))
    assert lit[by_class["moon"]].mean() > 2 * lit[by_class["star field"]].mean()


@pytest.mark.parametrize("index", [1.0, 2.5, 4.0])
def test_half_of_the_light_lies_within_the_effective_radius(index: float):
    def light(radius: float) -> float:
        return float(sersic(np.array(radius), 3.0, index)) * radius

    inside, whole = quad(light, 0, 3.0)[0], quad(light, 0, 3000.0, limit=500)[0]
    assert inside / whole == pytest.approx(0.5, abs=0.005)
    assert light(3.0) / 3.0 == pytest.approx(1.0)


def test_discs_darken_towards_the_limb_and_stars_redden_as_they_cool():
    profile = limb_darkening(np.linspace(1, 0, 50))
    assert profile[0] == 1
    assert (np.diff(profile) < 0).all()
    assert profile[-1] > 0
    cool, hot = black_body(3_500), black_body(15_000)
    assert cool.argmax() == 0
    assert hot.argmax() == 2
    np.testing.assert_allclose(black_body(6_500), 1)


def test_the_set_says_that_it_is_synthetic():
    images = load_images(Dataset(name="sky"))
    assert images.pixels.shape == (200, 3, 64, 64)
    assert "synthetic" in images.card.path
    assert images.card.classes == SKY_CLASSES
    assert images.card.class_sizes == (40,) * 5
