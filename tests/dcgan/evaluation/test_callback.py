"""Evaluation while a training lasts: `dcgan train --evaluate-every`."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.config.schema import Config
from dcgan.evaluation import callback as in_training
from dcgan.evaluation import evaluator
from dcgan.evaluation.features import feature_space
from dcgan.evaluation.features.inception import Inception
from dcgan.training.checkpoint import (
    checkpoint_step,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    no_checkpoints,
    save_checkpoint,
)
from dcgan.training.distributed import World
from dcgan.training.loop import train
from tests.dcgan.cli.test_evaluate import TINY, invoke
from tests.dcgan.data.test_cache import save
from tests.dcgan.data.test_torchvision_sets import write_idx
from tracking.backends.local import last_values, read_fields, read_steps, run_folders
from tracking.events import Event, Metrics

pytestmark = pytest.mark.usefixtures("few_projections")

EVERY = (*TINY[:-2], "--set", "evaluation.samples=120", "--epochs", "4", "--evaluate-every", "2")
FID = "evaluation/lenet_fid"


def trained(store: Path, *arguments: str) -> tuple[Path, Result]:
    before = set(run_folders(store))
    result = invoke("train", "digits", *arguments, "--store", str(store))
    assert result.exit_code == 0, result.output
    (folder,) = set(run_folders(store)) - before
    return folder, result


def test_a_series_and_the_best_checkpoint(tmp_path: Path) -> None:
    folder, _ = trained(tmp_path, *EVERY, "--set", "checkpoints.every_epochs=1")
    series = read_steps(folder)[["step", FID, "evaluation/best_lenet_fid"]].dropna()
    assert series["step"].tolist() == [16, 32], "every second epoch of eight steps"
    assert series["evaluation/best_lenet_fid"].tolist() == series[FID].cummin().tolist()

    fields = read_fields(folder)
    best = int(series.loc[series[FID].idxmin(), "step"])
    assert fields["sys/evaluation/best_step"] == best
    assert checkpoint_step(find_checkpoint(folder / "checkpoints", "best")) == best
    assert fields["sys/evaluation/samples"] == 120
    assert "floor" in str([path for path in fields if "evaluation" in path])

    picture = tmp_path / "best.png"
    drawn = invoke(
        "sample", "--checkpoint", "best", "-o", str(picture), "-n", "4", "--store", str(tmp_path)
    )
    assert drawn.exit_code == 0, drawn.output
    assert picture.stat().st_size > 100
    every = invoke(
        "evaluate", "--checkpoint", "all", "--samples", "120", "--resamples", "1",
        "--store", str(tmp_path),
    )  # fmt: skip
    kept = [checkpoint_step(path) for path in list_checkpoints(folder / "checkpoints")]
    found = re.findall(r"at step (\d+)", every.output)
    assert [int(step) for step in found] == kept
    compared = invoke("runs", "--sort", "best_lenet_fid", "--store", str(tmp_path))
    assert compared.exit_code == 0


@pytest.mark.parametrize("at", [16, 32])
def test_ctrl_c_ends_an_evaluation_at_once_and_resuming_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """With plain FID an evaluation takes many minutes, in which nothing would answer."""

    def interrupted(*arguments: Any, **options: Any) -> object:
        (folder,) = run_folders(tmp_path)
        if read_steps(folder)["step"].max() == at:
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the evaluation goes on")
        return evaluator.evaluate(*arguments, **options)

    monkeypatch.setattr(in_training, "evaluate", interrupted)
    ended = invoke("train", "digits", *EVERY, "--store", str(tmp_path))
    assert f"interrupted after {at} of 32 steps" in ended.output
    assert ended.exit_code == 130
    monkeypatch.setattr(in_training, "evaluate", evaluator.evaluate)
    resumed = invoke("resume", "--store", str(tmp_path))
    assert resumed.exit_code == 0, resumed.output
    (folder,) = run_folders(tmp_path)
    assert read_fields(folder)["sys/status"] == "finished"
    assert read_steps(folder)[["step", FID]].dropna()["step"].tolist() == [16, 32]


def test_training_is_the_same_with_it_and_without(tmp_path: Path) -> None:
    evaluated, _ = trained(tmp_path, *EVERY)
    plain, _ = trained(tmp_path, *EVERY[:-2])
    assert FID not in read_steps(plain)
    losses = [read_steps(each)["training/batch/Gloss"].dropna() for each in (evaluated, plain)]
    assert losses[0].tolist() == losses[1].tolist()


def test_a_resumed_run_knows_its_best(
    tmp_path: Path, small_config: Callable[..., Config], pixels: Tensor
) -> None:
    assert in_training.best_so_far({"evaluation/best_lenet_fid": 3.0, FID: 9.0}) == {
        "lenet_fid": 3.0
    }
    assert in_training.best_so_far({FID: 9.0}) == {}

    asked: list[int] = []

    def assess(step: int, generator: torch.nn.Module) -> bool:
        asked.append(step)
        return step == 3

    saved: list[tuple[int, bool]] = []

    def save(step: int, state: object, *, marked: bool = False, best: bool = False) -> None:
        saved.append((step, best))

    # Without the evaluations, the end would be the first checkpoint.
    intervals = ("evaluation.every_epochs=1", "checkpoints.every_epochs=5")
    config = small_config(*intervals, "training.epochs=2")
    train(
        config,
        pixels,
        device=torch.device("cpu"),
        emit=lambda event: None,
        save=save,
        evaluate=assess,
    )
    assert asked == [3, 6]
    # Each is saved before it is evaluated, and the best is saved again as such.
    assert saved == [(3, False), (3, True), (6, False)]
    asked.clear()
    by_steps = small_config("evaluation.every_epochs=0", "training.steps=4")
    train(
        by_steps,
        pixels,
        device=torch.device("cpu"),
        emit=lambda event: None,
        save=no_checkpoints,
        evaluate=assess,
    )
    assert asked == [4], "a training ends with an evaluation"


def test_an_evaluation_that_was_cut_off_is_made_when_the_run_goes_on(
    tmp_path: Path, small_config: Callable[..., Config], pixels: Tensor
) -> None:
    config = small_config("evaluation.every_epochs=1", "training.epochs=2")
    asked: list[int] = []

    def killed_at_first(step: int, generator: torch.nn.Module) -> bool:
        asked.append(step)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return False

    def go_on(checkpoint: dict[str, Any] | None) -> None:
        train(
            config,
            pixels,
            device=torch.device("cpu"),
            emit=lambda event: None,
            save=partial(save_checkpoint, tmp_path),
            resume_from=checkpoint,
            evaluate=killed_at_first,
        )

    with pytest.raises(KeyboardInterrupt):
        go_on(None)
    go_on(load_checkpoint(find_checkpoint(tmp_path)))
    assert asked == [3, 3, 6]


class Watched(World):
    """A process that notes when it waits for the first one, and when it goes on."""

    log: ClassVar[list[str]] = []

    @contextmanager
    def wait_for_main_process(self) -> Iterator[None]:
        self.log.append("begins")
        yield
        self.log.append("waited")


@pytest.mark.parametrize("rank", [0, 1])
def test_the_other_processes_wait_for_the_first_one_to_evaluate(
    rank: int, small_config: Callable[..., Config], pixels: Tensor, tmp_path: Path
) -> None:
    def assess(step: int, generator: torch.nn.Module) -> bool:
        Watched.log.append("evaluates")
        return False

    def go_on(epochs: int, checkpoint: dict[str, Any] | None) -> list[str]:
        Watched.log.clear()
        train(
            small_config("evaluation.every_epochs=1", f"training.epochs={epochs}"),
            pixels,
            device=torch.device("cpu"),
            emit=lambda event: None,
            save=partial(save_checkpoint, tmp_path),
            resume_from=checkpoint,
            world=Watched(rank=rank),
            evaluate=assess if rank == 0 else None,
        )
        return Watched.log

    turn = ["begins", "evaluates", "waited"] if rank == 0 else ["begins", "waited"]
    assert go_on(2, None) == turn * 2
    # Resumed, it comes back to the evaluation of the step that it starts from.
    assert go_on(3, load_checkpoint(find_checkpoint(tmp_path))) == turn * 2


def test_an_evaluation_that_fails_is_told_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(in_training, "evaluate", broken)
    folder, result = trained(tmp_path, *EVERY)
    assert result.output.count("no memory") == 1
    assert read_fields(folder)["sys/status"] == "finished"
    assert last_values(folder)["step"] == 32


def test_a_diverged_generator_is_not_the_best(small_config: Callable[..., Config]) -> None:
    from dcgan.data.loading import load_images
    from dcgan.models import build_networks

    config = small_config("evaluation.every_epochs=1", "evaluation.samples=120")
    events: list[Event] = []
    warnings: list[str] = []
    assess = in_training.evaluation_callback(
        config,
        load_images(config.dataset),
        None,
        torch.device("cpu"),
        events.append,
        warnings.append,
    )
    generator, _ = build_networks(config, seed=0)
    assert assess(1, generator)
    with torch.no_grad():
        for weights in generator.parameters():
            weights.fill_(float("nan"))
    assert not assess(2, generator)
    values = [event.values for event in events if isinstance(event, Metrics)]
    assert len(values) == 1, "what is not finite has no score"
    assert "its training has diverged" in warnings[0]


def test_held_out_images_are_the_test_split_where_it_was_not_trained_on(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist" / "MNIST" / "raw", gzipped=False)
    settings = (*TINY, "--batch-size", "8", "--set", "dataset.split=train")
    arguments = ("train", "mnist-ablation", "--data", str(tmp_path / "mnist"), *settings)
    store = ("--store", str(tmp_path / "runs"))
    result = CliRunner().invoke(app, [*arguments, *store])
    assert result.exit_code == 0, result.output
    result = invoke("evaluate", "--samples", "100", "--resamples", "1", *store)
    assert result.exit_code == 0, result.output
    assert "10 fakes per set" in result.output
    assert "others, which were not trained on" in result.output

    held_out = tmp_path / "held_out"
    held_out.mkdir()
    for number in range(7):
        save(held_out / f"{number}.png", number)
    store = ("--store", str(tmp_path / "digits"))
    settings = (*TINY, "--set", f"evaluation.held_out={held_out}")
    assert invoke("train", "digits", *settings, *store).exit_code == 0
    result = invoke("evaluate", "--samples", "100", "--resamples", "1", *store)
    assert "7 fakes per set" in result.output
    assert "others, which were not trained on" in result.output
    assert (
        invoke(
            "train", *settings[:-1], "evaluation.held_out=/nowhere", "--evaluate-every", "1", *store
        ).exit_code
        == 2
    )


def test_plain_fid_decides_which_is_the_best_and_can_be_left_out(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dcgan.data.loading import load_images
    from dcgan.models import build_networks

    inception = Inception("", lambda pixels: pixels[:, 0, :4, 0].float(), "a stand-in", "1")
    monkeypatch.setattr(feature_space, "load_inception", lambda file, device: inception)
    monkeypatch.setattr(feature_space.inception, "find_weights", lambda: tmp_path)
    for name in ("sliced_wasserstein_distance", "kernel_distance", "multiscale_similarity"):
        monkeypatch.setattr(evaluator, name, lambda *images: 0.0)
    config = small_config()
    images = load_images(config.dataset)
    generator, _ = build_networks(config, seed=0)
    for settings, name in (((), "fid"), (("evaluation.inception=false",), "lenet_fid")):
        events: list[Event] = []
        warnings: list[str] = []
        assess = in_training.evaluation_callback(
            small_config("evaluation.samples=120", *settings),
            images,
            None,
            torch.device("cpu"),
            events.append,
            warnings.append,
            best={"lenet_fid": 0.0, "fid": 1e9},
        )
        assert assess(1, generator) == (name == "fid"), "each has a best of its own"
        (values,) = (event.values for event in events if isinstance(event, Metrics))
        assert f"evaluation/best_{name}" in values
        assert ("evaluation/fid" in values) == (name == "fid")
        assert "evaluation/lenet_fid" in values
        assert warnings == ([in_training.SLOW] if name == "fid" else [])
