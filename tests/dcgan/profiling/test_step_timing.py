"""Trials of a recipe's speed: what they train on, and whose result they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dcgan.config.loading import load_config
from dcgan.config.schema import Config
from dcgan.profiling import step_timing
from tests.dcgan.training.test_device import NAMES

CPU = torch.device("cpu")


def test_each_kind_of_device_has_a_record_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step_timing, "device_name", lambda device: NAMES.get(device.type, "chip"))
    config = load_config("digits", [])
    kinds = ("cpu", "mps", "cuda:0", "cuda:1", "xpu:0")
    files = [step_timing._timing_file(config, torch.device(kind)) for kind in kinds]
    assert len(set(files)) == 4  # two GPUs of one make are alike


def test_a_trial_has_full_batches_and_a_short_one_and_waits_for_each(
    monkeypatch: pytest.MonkeyPatch,
):
    waited: list[torch.device] = []

    def train(config: Config, pixels: Tensor, *, stopping, **more: object) -> None:
        assert len(pixels) == 3.5 * config.training.batch_size
        for _ in range(config.training.steps):
            stopping()

    monkeypatch.setattr(step_timing, "train", train)
    monkeypatch.setattr(step_timing, "synchronise", waited.append)
    step_timing._time_steps(load_config("digits", []), CPU)
    assert waited == [CPU] * (step_timing.TRIAL_STEPS + 1)
