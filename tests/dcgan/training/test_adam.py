"""Adam without torch.compile's part is PyTorch's Adam."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dcgan.config.schema import Optimizer
from dcgan.training.adam import EagerAdam, make_adam


def take_steps(optimizer: torch.optim.Adam, network: nn.Module, count: int) -> None:
    for step in range(count):
        optimizer.zero_grad()
        network(torch.linspace(-1, step, 4)).square().sum().backward()
        optimizer.step()


def test_steps_and_states_are_those_of_pytorch():
    network = nn.Linear(4, 3)
    twin = copy.deepcopy(network)
    options = {"lr": 1e-2, "betas": (0.5, 0.999), "weight_decay": 1e-3, "fused": True}
    ours = EagerAdam(network.parameters(), **options)
    theirs = torch.optim.Adam(twin.parameters(), **options)
    take_steps(ours, network, 3)
    take_steps(theirs, twin, 3)
    assert str(ours.state_dict()) == str(theirs.state_dict())
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    take_steps(ours, network, 2)
    take_steps(theirs, twin, 2)
    assert all(map(torch.equal, network.parameters(), twin.parameters()))


@pytest.mark.parametrize(
    ("device", "fused", "capturable"),
    [
        ("cpu", True, False),
        ("cuda:1", True, True),  # or no step could be captured as a CUDA graph
        ("mps", True, False),
        ("xpu:0", True, False),
        ("meta", None, False),
    ],
)
def test_each_device_has_the_fastest_form_that_pytorch_has_for_it(
    device: str, fused: bool | None, capturable: bool
):
    settings = Optimizer(lr=1e-3)
    options = make_adam(nn.Linear(4, 3), settings, torch.device(device)).defaults
    assert (options["fused"], options["capturable"], options["lr"]) == (fused, capturable, 1e-3)
