"""The ways in which recipes take a step: what each key changes, and what it must not change."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcgan.config.schema import Config
from dcgan.selftest import checks
from dcgan.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from dcgan.training.loop import train
from dcgan.training.schedule import total_steps
from tracking.events import Event, Image, Metrics

CPU = torch.device("cpu")

EVERY_STABILISER = (*checks.WITH_EVERYTHING, "images.weights=ema")
CRITIC = (*checks.CRITIC, "training.batch_size=8")


def run(config: Config, pixels: torch.Tensor, folder: Path, **arguments: Any) -> list[Event]:
    events: list[Event] = []
    assert train(
        config,
        pixels,
        device=CPU,
        emit=events.append,
        save=partial(save_checkpoint, folder),
        **arguments,
    )
    return events


def losses(events: list[Event]) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Metrics) and "training/batch/Gloss" in event.values:
            for path, values in event.values.items():
                columns.setdefault(path.rpartition("/")[2], []).extend(values)
    return columns


def state(folder: Path) -> dict[str, Any]:
    return load_checkpoint(find_checkpoint(folder))


def assert_same_weights(one: Path, other: Path, *, exactly: bool = True) -> None:
    ours, theirs = state(one), state(other)
    for name in ("generator", "discriminator"):
        assert ours[name].keys() == theirs[name].keys()
        for key, value in ours[name].items():
            if exactly:
                assert torch.equal(value, theirs[name][key]), key
            else:
                torch.testing.assert_close(value, theirs[name][key], rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("step", ["accumulated", "joint", "two"])
@pytest.mark.parametrize("fakes", ["reused", "fresh"])
def test_gradients_that_leak_into_the_generator_are_cleared(
    small_config, pixels, tmp_path, step, fakes
):
    settings = (f"training.discriminator_step={step}", f"training.generator_fakes={fakes}")
    run(small_config(*settings), pixels, tmp_path / "detached")
    run(small_config(*settings, "training.detach_fakes=false"), pixels, tmp_path / "leaking")
    assert_same_weights(tmp_path / "detached", tmp_path / "leaking", exactly=False)


@pytest.mark.usefixtures("float64")
def test_two_backward_passes_are_one_on_the_sum_and_two_steps_are_not(
    small_config, pixels, tmp_path
):
    for step in ("accumulated", "joint", "two"):
        run(small_config(f"training.discriminator_step={step}"), pixels, tmp_path / step)
    assert_same_weights(tmp_path / "accumulated", tmp_path / "joint", exactly=False)
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "accumulated", tmp_path / "two", exactly=False)


@pytest.mark.usefixtures("float64")
def test_fakes_made_again_move_only_the_running_statistics_of_the_generator(
    small_config, pixels, tmp_path
):
    config = ("training.steps=1",)
    run(small_config(*config), pixels, tmp_path / "reused")
    run(small_config(*config, "training.generator_fakes=regenerated"), pixels, tmp_path / "again")
    ours, theirs = state(tmp_path / "reused"), state(tmp_path / "again")
    for key, value in ours["generator"].items():
        same = torch.allclose(value.double(), theirs["generator"][key].double(), atol=1e-7)
        assert same != ("running" in key or "num_batches" in key), key


def test_fresh_fakes_are_others(small_config, pixels, tmp_path):
    reused = losses(run(small_config("training.steps=1"), pixels, tmp_path / "reused"))
    settings = ("training.steps=1", "training.generator_fakes=fresh")
    fresh = losses(run(small_config(*settings), pixels, tmp_path / "fresh"))
    assert reused["Dloss"] == fresh["Dloss"]
    assert reused["Gloss"] != fresh["Gloss"]


def test_a_length_in_steps_ends_in_the_middle_of_an_epoch(small_config, pixels, tmp_path):
    config = small_config("training.steps=4", "images.every_steps=100")
    assert total_steps(config, len(pixels)) == 4
    events = run(config, pixels, tmp_path)
    assert len(losses(events)["Gloss"]) == 4
    assert [event.step for event in events if isinstance(event, Image)] == [0, 0, 4]
    epochs = [event for event in events if isinstance(event, Metrics) and len(event.values) == 6]
    assert [event.values["training/epoch/number"] for event in epochs] == [[1.0]]  # whole ones
    assert state(tmp_path)["step"] == 4


def test_a_length_in_steps_is_the_same_training(small_config, pixels, tmp_path):
    run(small_config("training.epochs=2"), pixels, tmp_path / "epochs")
    run(small_config("training.steps=6"), pixels, tmp_path / "steps")
    assert_same_weights(tmp_path / "epochs", tmp_path / "steps")


def test_grids_every_other_epoch_and_at_the_very_last_step(small_config, pixels, tmp_path):
    config = small_config("training.epochs=5", "images.every_epochs=2")
    events = run(config, pixels, tmp_path)
    steps = [e.step for e in events if isinstance(e, Image) and e.path == "images/fixed_noise"]
    assert steps == [0, 6, 12, 15]


def test_inverted_grids_are_negatives(small_config, pixels, tmp_path):
    plain = run(small_config("training.steps=1"), pixels, tmp_path / "plain")
    settings = ("training.steps=1", "images.inverted=true")
    inverted = run(small_config(*settings), pixels, tmp_path / "inverted")
    for one, other in zip(plain, inverted, strict=True):
        if isinstance(one, Image):
            inside = (slice(2, 34), slice(2, 34))
            total = one.pixels[inside].astype(int) + other.pixels[inside]
            assert np.abs(total - 255).max() <= 1


def test_the_mode_of_batch_norm_changes_the_grid_and_not_the_training(
    small_config, pixels, tmp_path
):
    grids = {}
    for mode in ("train", "eval"):
        events = run(small_config(f"images.mode={mode}"), pixels, tmp_path / mode)
        grids[mode] = [event for event in events if isinstance(event, Image)][-1].pixels
    assert not np.array_equal(grids["train"], grids["eval"])
    assert_same_weights(tmp_path / "train", tmp_path / "eval")


@pytest.mark.usefixtures("float64")
def test_the_moving_average_is_that_of_the_weights_after_each_step(small_config, pixels, tmp_path):
    decay, average = 0.9, None
    config = small_config(f"stabilisers.generator_ema={decay}")
    for step in range(1, 7):
        folder = tmp_path / str(step)
        steps = small_config(f"stabilisers.generator_ema={decay}", f"training.steps={step}")
        run(steps, pixels, folder)
        weights = state(folder)["generator"]["0.weight"]
        average = weights if average is None else decay * average + (1 - decay) * weights
    run(config, pixels, tmp_path / "whole")
    last = state(tmp_path / "whole")
    torch.testing.assert_close(last["average"]["module.0.weight"], average)
    for name, buffer in last["generator"].items():
        if "running" in name:
            assert torch.equal(last["average"][f"module.{name}"], buffer)


def test_the_average_changes_the_grids_and_not_the_training(small_config, pixels, tmp_path):
    ema = ("stabilisers.generator_ema=0.9",)
    without = run(small_config(), pixels, tmp_path / "without")
    current = run(small_config(*ema), pixels, tmp_path / "current")
    shown = run(small_config(*ema, "images.weights=ema"), pixels, tmp_path / "shown")
    assert_same_weights(tmp_path / "without", tmp_path / "shown")
    last = [[e for e in events if isinstance(e, Image)][-1] for events in (without, current, shown)]
    assert np.array_equal(last[0].pixels, last[1].pixels)
    assert not np.array_equal(last[1].pixels, last[2].pixels)


@pytest.mark.parametrize(
    "setting", (*EVERY_STABILISER[:4], *EVERY_STABILISER[5:6], "dataset.flip=true")
)
def test_every_stabiliser_changes_the_training(small_config, pixels, tmp_path, setting):
    plain = losses(run(small_config(), pixels, tmp_path / "plain"))
    changed = losses(run(small_config(setting), pixels, tmp_path / "changed"))
    assert plain["Dloss"][1:] != changed["Dloss"][1:]


@pytest.mark.parametrize("loss", ["bce", "softmax", "hinge", "least_squares", "wgan_gp"])
def test_every_loss_trains(small_config, pixels, tmp_path, loss):
    """D learns to tell one grey from noise, whatever the loss: its scores part."""
    greys = torch.full_like(pixels, 200)
    config = small_config(
        f"loss.name={loss}",
        "network.discriminator_batch_norm=none",
        "training.epochs=40",
        "optimizer.lr=1e-3",
        "init.scheme=default",
    )
    values = losses(run(config, greys, tmp_path))
    apart = np.subtract(values["D_x"], values["D_G_z1"])
    assert np.isfinite(apart).all()
    assert apart.max() > apart[0] + 0.1
    assert ("gradient_penalty" in values) == (loss == "wgan_gp")


def test_a_critic_sees_several_batches_for_one_step_of_the_generator(
    small_config, pixels, tmp_path
):
    config = small_config(*CRITIC, "training.epochs=1")
    assert total_steps(config, 40) == 3  # 16, 16 and 8 images, in batches of 8
    events = run(config, pixels, tmp_path)
    assert len(losses(events)["Gloss"]) == 3
    ended = state(tmp_path)
    assert ended["discriminator_optimizer"]["state"][0]["step"] == 5
    assert ended["generator_optimizer"]["state"][0]["step"] == 3


@pytest.mark.parametrize("settings", [EVERY_STABILISER, CRITIC, ("training.steps=5",)])
@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_a_stopped_run_goes_on_bit_for_bit(small_config, pixels, tmp_path, settings, stop_at):
    config = small_config(*settings)
    whole = losses(run(config, pixels, tmp_path / "whole"))
    steps = iter(range(1, 100))
    events: list[Event] = []
    train(
        config,
        pixels,
        device=CPU,
        emit=events.append,
        save=partial(save_checkpoint, tmp_path / "parts"),
        stopping=lambda: next(steps) >= stop_at,
    )
    resumed = state(tmp_path / "parts")
    assert resumed["step"] == stop_at
    events += run(config, pixels, tmp_path / "parts", resume_from=resumed)
    assert losses(events) == whole
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_checkpoints_at_the_interval_and_at_the_end(small_config, pixels, tmp_path):
    config = small_config("checkpoints.every_epochs=3", "training.epochs=8")
    run(config, pixels, tmp_path)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["step-00000018", "step-00000024"]
