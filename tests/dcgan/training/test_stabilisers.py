"""Label smoothing and flipping, instance noise, DiffAugment."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dcgan.config.schema import Stabilisers
from dcgan.training.diff_augment import diff_augment
from dcgan.training.stabilisers import (
    augment,
    instance_noise_std,
    make_targets,
    mirror_half,
)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 64, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=source(9)) * 2 - 1


def test_all_is_off_by_default_and_draws_nothing():
    drawn = source()
    before = drawn.get_state()
    batch = images()
    assert augment(batch, Stabilisers(), torch.tensor(0.0), drawn) is batch
    assert (make_targets(True, 8, Stabilisers(), drawn) == 1).all()
    assert (make_targets(False, 8, Stabilisers(), drawn) == 0).all()
    assert torch.equal(drawn.get_state(), before)


def test_label_smoothing_is_one_sided():
    smooth = Stabilisers(label_smoothing=0.1)
    assert make_targets(True, 4, smooth, source()).tolist() == pytest.approx([0.9] * 4)
    assert (make_targets(False, 4, smooth, source()) == 0).all()


def test_label_flipping_turns_its_share_of_both():
    flipping = Stabilisers(label_flipping=0.2)
    assert make_targets(True, 10_000, flipping, source()).mean().item() == pytest.approx(
        0.8, abs=0.02
    )
    assert make_targets(False, 10_000, flipping, source()).mean().item() == pytest.approx(
        0.2, abs=0.02
    )


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.5), (0.5, 0.25), (1.0, 0.0)])
def test_instance_noise_fades_to_nothing(progress: float, expected: float):
    batch = images()
    stabilisers = Stabilisers(instance_noise=0.5)
    noise_std = torch.tensor(instance_noise_std(stabilisers, progress))
    seen = augment(batch, stabilisers, noise_std, source())
    assert (seen - batch).std().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout"])
def test_the_gradient_flows_through_every_augmentation(policy: str):
    batch = images(4, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda each: diff_augment(each, [policy], source(3)), (batch,), eps=1e-6
    )


def test_every_image_is_changed_in_its_own_way():
    batch = images(1).repeat(16, 1, 1, 1)
    for policy in ("color", "translation", "cutout"):
        changed = diff_augment(batch, [policy], source(1))
        assert len({tuple(each.flatten().tolist()) for each in changed}) >= 14, policy


def test_colours_change_by_brightness_saturation_and_contrast():
    """Each is an affine map of an image's pixels: greys stay grey, the order of greys stays."""
    ramp = torch.linspace(-1, 1, 64).view(1, 1, 8, 8).repeat(50, 3, 1, 1)
    changed = diff_augment(ramp, ["color"], source(2))
    torch.testing.assert_close(changed[:, 0], changed[:, 1])
    slopes = (changed[:, 0, -1, -1] - changed[:, 0, 0, 0]) / 2
    assert 0.5 <= slopes.min() < 0.6
    assert 1.4 < slopes.max() <= 1.5
    shifts = changed.mean(dim=(1, 2, 3))
    assert -0.5 <= shifts.min() < -0.4
    assert 0.4 < shifts.max() <= 0.5


def test_translation_moves_by_an_eighth_at_most_and_fills_with_zero():
    spot = torch.zeros(2_000, 1, 32, 32)
    spot[:, :, 16, 16] = 1
    moved = diff_augment(spot, ["translation"], source(4))
    rows, columns = moved.flatten(1).argmax(1) // 32 - 16, moved.flatten(1).argmax(1) % 32 - 16
    for shifts in (rows, columns):
        assert shifts.min() == -4
        assert shifts.max() == 4
        # 222 of each are expected, with a deviation of 14; the ends had half as many once.
        assert torch.bincount(shifts + 4).min() > 160
    full = diff_augment(torch.ones(2_000, 1, 32, 32), ["translation"], source(4))
    kept = (32 - rows.abs()) * (32 - columns.abs())
    torch.testing.assert_close(full.flatten(1).sum(1), kept.float())
    assert (moved.flatten(1).sum(1) == 1).all()


def test_cutout_blanks_a_square_of_half_the_size():
    cut = diff_augment(torch.ones(500, 1, 32, 32), ["cutout"], source(5))
    blank = (cut == 0).flatten(1).sum(1)
    assert blank.max() == 16 * 16
    assert 8 * 8 <= blank.min() < 12 * 12  # in a corner only a quarter of it is inside
    assert ((cut == 0) | (cut == 1)).all()


def test_half_of_the_images_are_mirrored_whole():
    batch = (images(400, 16) * 127).to(torch.uint8)
    mirrored = mirror_half(batch, source())
    same = (mirrored == batch).all(dim=(1, 2, 3))
    turned = (mirrored == batch.flip(3)).all(dim=(1, 2, 3))
    assert (same ^ turned).all()
    assert 160 < turned.sum() < 240
    assert torch.equal(mirror_half(batch, source()), mirrored), "the same for the same state"
