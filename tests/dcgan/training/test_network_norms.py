"""Gradient norms and update-to-weight ratios against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dcgan.training.network_norms import MEASURED_EVERY, NetworkNorms


def test_norms_are_those_of_all_weights_together() -> None:
    networks = {"G": nn.Linear(2, 2), "D": nn.Linear(3, 1)}
    norms = NetworkNorms(networks["G"], networks["D"])
    assert not norms.remember_weights(MEASURED_EVERY - 1)
    assert norms.remember_weights(MEASURED_EVERY)
    before = {
        name: torch.cat([each.detach().flatten() for each in network.parameters()])
        for name, network in networks.items()
    }
    with torch.no_grad():
        for network in networks.values():
            for weights in network.parameters():
                weights.add_(0.5)
    gradients = {
        name: [torch.full_like(p, 2.0) for p in n.parameters()] for name, n in networks.items()
    }
    values = {name: float(value) for name, value in norms.measure(gradients).items()}
    assert values["G_gradient_norm"] == pytest.approx(2 * 6**0.5)
    assert values["D_gradient_norm"] == pytest.approx(2 * 4**0.5)
    for name, count in (("G", 6), ("D", 4)):
        ratio = 0.5 * count**0.5 / float(before[name].norm())
        assert values[f"{name}_update_ratio"] == pytest.approx(ratio)
