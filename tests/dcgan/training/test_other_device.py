"""A run that goes on on another kind of device than it was trained on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from dcgan.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from dcgan.training.distributed import SINGLE_PROCESS
from dcgan.training.loop import train
from dcgan.training.state import derive_seeds, has_random_state_of, initial_state

CPU = torch.device("cpu")


def as_saved_on_cuda(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The same checkpoint, with what CUDA writes where it differs from the CPU."""
    changed = dict(checkpoint)
    for name in ("latents", "perturbations"):
        changed[name] = torch.zeros(16, dtype=torch.uint8)
    for name in ("generator_optimizer", "discriminator_optimizer"):
        groups = [{**g, "capturable": True} for g in checkpoint[name]["param_groups"]]
        changed[name] = {**checkpoint[name], "param_groups": groups}
    return changed


def half_trained(config, pixels, folder: Path) -> dict[str, Any]:
    save = partial(save_checkpoint, folder)
    train(config, pixels, device=CPU, emit=lambda event: None, save=save)
    return load_checkpoint(find_checkpoint(folder))


def test_random_numbers_start_anew_from_seed_and_step(small_config, pixels, tmp_path):
    config = small_config("training.epochs=1")
    checkpoint = half_trained(config, pixels, tmp_path)
    assert has_random_state_of(checkpoint, CPU)
    foreign = as_saved_on_cuda(checkpoint)
    assert not has_random_state_of(foreign, CPU)
    seeds = derive_seeds(config.seed)
    state = initial_state(config, seeds, CPU, SINGLE_PROCESS)
    state.restore(foreign, seeds)
    assert state.step == 3
    expected = torch.Generator().manual_seed((seeds.latents + 3) % 2**64)
    assert torch.equal(state.latents.get_state(), expected.get_state())
    for name, value in checkpoint["generator"].items():
        assert torch.equal(state.generator.state_dict()[name], value)


def test_adam_keeps_the_settings_of_its_own_device(small_config, pixels, tmp_path):
    config = small_config("training.epochs=1", "optimizer.lr=1e-3")
    foreign = as_saved_on_cuda(half_trained(config, pixels, tmp_path))
    seeds = derive_seeds(config.seed)
    state = initial_state(config, seeds, CPU, SINGLE_PROCESS)
    state.restore(foreign, seeds)
    [group] = state.generator_optimizer.param_groups
    assert (group["capturable"], group["fused"], group["lr"]) == (False, True, 1e-3)


def test_such_a_run_trains_to_its_end(
    small_config, pixels, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    foreign = as_saved_on_cuda(half_trained(small_config("training.epochs=1"), pixels, tmp_path))
    with monkeypatch.context() as patch:  # every tensor in the file is one of a GPU
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        file = save_checkpoint(tmp_path, 3, foreign)
    foreign = load_checkpoint(file)
    save = partial(save_checkpoint, tmp_path)
    config = small_config("training.epochs=2")
    assert train(
        config, pixels, device=CPU, emit=lambda event: None, save=save, resume_from=foreign
    )
    assert load_checkpoint(find_checkpoint(tmp_path))["step"] == 6
