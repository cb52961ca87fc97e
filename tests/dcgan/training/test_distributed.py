"""Two processes, started by torchrun, train as one does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import ConfigError
from dcgan.jobs.prepare import check_batches
from dcgan.training.checkpoint import find_checkpoint, load_checkpoint
from dcgan.training.distributed import World
from tests.support import REPOSITORY, float64_trainer
from tests.support.forked import Command, dcgan, fork, fork_command, torchrun
from tracking.backends.local import read_fields, read_steps, run_folders

pytestmark = pytest.mark.slow

SMALL = (
    "training.batch_size=16",
    "training.steps=10",
    "images.every_steps=5",
    "images.count=4",
    "training.synchronised_batch_norm=true",
)
NARROW = ("network.generator_features=4", "network.discriminator_features=4")
LOSS = "training/batch/Gloss"
CPU = torch.device("cpu")
RECIPES = {
    "digits": NARROW,
    "mnist-ablation": (),  # gradients accumulated, the last batch of an epoch short
    "mnist-softmax": ("dataset.image_size=16",),  # batch norm in fully connected layers
    "astro": NARROW,  # joint, fresh latents
    "anime-tf": NARROW,  # several batches for D
}
STEPS = 5  # of 51 images, whose fourth batch is short, with parts of two and of one
TRAININGS = {name: (name, *SMALL, *settings) for name, settings in RECIPES.items()} | {
    "not synchronised": ("astro", *SMALL, *NARROW, "training.synchronised_batch_norm=false")
}
Metrics: TypeAlias = dict[str, dict[str, list[float]]]
"""The values of each metric of each training."""


def start(processes: int, *arguments: str, folder: Path) -> Command:
    """`dcgan` in one process, or in several as `torchrun` starts them."""
    if processes == 1:
        return fork_command(*arguments, folder=folder)
    return fork(torchrun, processes, dcgan, *arguments, folder=folder, leader=True)


def finish(running: Command, code: int = 0) -> str:
    """All that it has written once it has ended."""
    output = "".join(running.communicate(timeout=300))
    assert running.returncode == code, output
    return output


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def shapes(weights: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}


def cli(store: Path, *arguments: str) -> tuple[str, ...]:
    settings = [part for each in (*SMALL, *NARROW) for part in ("--set", each)]
    return (*arguments, *settings, "--device", "cpu", "--store", str(store))


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Metrics]:
    """For one process and for two, the metrics of each training."""
    folder = tmp_path_factory.mktemp("metrics")
    trainings = folder / "trainings.json"
    steps = f"training.steps={STEPS}"
    trainings.write_text(
        json.dumps({name: (*settings, steps) for name, settings in TRAININGS.items()})
    )
    files = {n: folder / f"{n}.json" for n in (1, 2)}
    one, two = ((float64_trainer.main, str(trainings), str(files[n])) for n in (1, 2))
    both = fork(*one, folder=folder), fork(torchrun, 2, *two, folder=folder, leader=True)
    for running in both:
        finish(running)
    return {n: json.loads(file.read_text()) for n, file in files.items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_train_as_one_in_float64(recipe: str, metrics: dict[int, Metrics]) -> None:
    one, two = (metrics[n][recipe] for n in (1, 2))
    assert one.keys() == two.keys()
    assert len(one[LOSS]) == STEPS
    for path in one:
        np.testing.assert_allclose(two[path], one[path], rtol=1e-8, err_msg=path)


def test_batch_norm_is_synchronised_by_choice(metrics: dict[int, Metrics]) -> None:
    one, two = (metrics[n]["not synchronised"] for n in (1, 2))
    assert not np.allclose(two[LOSS], one[LOSS], rtol=1e-3)


def test_the_first_process_alone_tracks_and_checkpoints_move(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["-m", "dcgan", *cli(tmp_path, "train", "digits")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    output = subprocess.check_output(
        command, env=environment, text=True, stderr=subprocess.STDOUT, timeout=300
    )
    assert output.count("finished after 10 of 10 steps") == 1
    (folder,) = run_folders(tmp_path)
    assert read_fields(folder)["sys/processes"] == 2
    assert read_steps(folder)["step"].tolist() == list(range(1, 11))

    single = tmp_path / "single"
    alone = CliRunner().invoke(app, cli(single, "train", "digits"))
    assert alone.exit_code == 0, alone.output
    (other,) = run_folders(single)
    assert files(folder) == files(other)
    ours, theirs = (load_checkpoint(find_checkpoint(each / "checkpoints")) for each in
                    (folder, other))  # fmt: skip
    assert ours["step"] == theirs["step"] == 10
    for network in ("generator", "discriminator"):
        assert shapes(ours[network]) == shapes(theirs[network])
    ours, theirs = (read_steps(each).filter(regex="^(step|training/)") for each in (folder, other))
    assert list(ours) == list(theirs)
    assert (ours.notna() == theirs.notna()).all(axis=None)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, before: int, after: int
) -> None:
    # Epochs of 15 steps: at the end of each the journal is written.
    settings = ("training.steps=4000", "training.batch_size=128", "images.every_steps=5000")
    more = (part for each in settings for part in ("--set", each))
    arguments = (*cli(tmp_path, "train", "digits"), *more)
    running = start(before, *arguments, folder=tmp_path)
    deadline = time.monotonic() + 200
    while not (found := [each for each in run_folders(tmp_path) if len(read_steps(each)) > 10]):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    output = "".join(running.communicate(timeout=100))
    (folder,) = found
    assert read_fields(folder)["sys/status"] == "interrupted", output
    steps = len(read_steps(folder))
    recipe = folder / "artifacts" / "recipe.toml"
    recipe.write_text(re.sub(r"steps = 4000", f"steps = {steps + 10}", recipe.read_text()))

    resume = ("resume", "--device", "cpu", "--store", str(tmp_path))
    if after == 1:
        alone = CliRunner().invoke(app, resume)
        assert alone.exit_code == 0, alone.output
    else:
        finish(start(after, *resume, folder=tmp_path))

    assert read_fields(folder)["sys/status"] == "finished"
    assert read_steps(folder)["step"].tolist() == list(range(1, steps + 11))
    assert np.isfinite(read_steps(folder)[LOSS]).all()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.batch_size=1796", "too few for 2 processes"),
        ("training.detach_fakes=false", "in one process only"),
    ],
)
def test_what_cannot_be_divided_is_told(tmp_path: Path, setting: str, said: str) -> None:
    store = tmp_path / "runs"
    running = start(2, *cli(store, "train", "digits"), "--set", setting, folder=tmp_path)
    output = finish(running, code=1)
    assert said in re.sub(r"[\s│]+", " ", output)
    assert output.count("Error ─") == 1
    assert "launch.py" not in output, "torchrun has a traceback of its own, we have none"
    assert not run_folders(store)


def test_a_penalty_is_not_compiled_where_no_process_tries_it_first() -> None:
    settings = (
        "loss.name=wgan_gp",
        "network.discriminator_batch_norm=none",
        "training.discriminator_step=joint",
        "training.compile=true",
    )
    config = load_config("digits", [parse_override(each) for each in settings])
    check_batches(config, size=1_797)
    with pytest.raises(ConfigError, match=r"torch\.compile has no second derivatives"):
        check_batches(config, size=1_797, world=World(rank=0, size=2))
