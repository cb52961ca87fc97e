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

import numpy as np
import pytest

from tests.support import REPOSITORY, SUPPORT
from tracking.backends.local import read_fields, read_steps, run_folders

TRAINER = SUPPORT / "float64_trainer.py"
SMALL = (
    "training.batch_size=16",
    "training.steps=10",
    "images.every_steps=5",
    "images.count=4",
    "training.synchronised_batch_norm=true",
)
NARROW = ("network.generator_features=4", "network.discriminator_features=4")
LOSS = "training/batch/Gloss"


def start(processes: int, *arguments: str) -> subprocess.Popen[str]:
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", str(processes))
    command = [sys.executable, *(torchrun if processes > 1 else ()), *arguments]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def run(processes: int, *arguments: str, code: int = 0) -> str:
    running = start(processes, *arguments)
    output, _ = running.communicate(timeout=300)
    assert running.returncode == code, output
    return output


def cli(store: Path, *arguments: str) -> tuple[str, ...]:
    settings = [part for each in SMALL for part in ("--set", each)]
    return ("-m", "dcgan", *arguments, *settings, "--device", "cpu", "--store", str(store))


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("mnist-ablation", ()),  # gradients accumulated, the last batch of an epoch short
        ("mnist-softmax", ()),  # batch norm in fully connected layers
        ("astro", NARROW),  # joint, fresh latents
        ("anime-tf", NARROW),  # several batches for D
    ],
)
def test_two_processes_train_as_one_in_float64(
    recipe: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    for processes in (1, 2):
        output = tmp_path / f"{processes}.json"
        run(processes, str(TRAINER), recipe, str(output), *SMALL, *settings)
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert one.keys() == two.keys()
    assert len(one[LOSS]) == 10
    for path in one:
        np.testing.assert_allclose(two[path], one[path], rtol=1e-8, err_msg=path)


def test_batch_norm_is_synchronised_by_choice(tmp_path: Path) -> None:
    alone = ("training.synchronised_batch_norm=false",)
    for processes in (1, 2):
        output = tmp_path / f"{processes}.json"
        run(processes, str(TRAINER), "astro", str(output), *SMALL, *NARROW, *alone)
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert not np.allclose(two[LOSS], one[LOSS], rtol=1e-3)


def test_the_first_process_alone_tracks_and_checkpoints_move(tmp_path: Path) -> None:
    output = run(2, *cli(tmp_path, "train", "digits"))
    assert output.count("finished after 10 of 10 steps") == 1
    (folder,) = run_folders(tmp_path)
    assert read_fields(folder)["sys/processes"] == 2
    assert read_steps(folder)["step"].tolist() == list(range(1, 11))

    single = tmp_path / "single"
    run(1, *cli(single, "train", "digits"))
    (other,) = run_folders(single)
    first, second = (read_steps(each)[LOSS].to_numpy() for each in (folder, other))
    np.testing.assert_allclose(first[:3], second[:3], rtol=1e-4)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(
    tmp_path: Path, before: int, after: int
) -> None:
    more = ("--set", "training.steps=4000", "--set", "images.every_steps=5000")
    running = start(before, *cli(tmp_path, "train", "digits"), *more)
    deadline = time.monotonic() + 200
    while not (found := [each for each in run_folders(tmp_path) if len(read_steps(each)) > 60]):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=100)
    (folder,) = found
    assert read_fields(folder)["sys/status"] == "interrupted", output
    steps = len(read_steps(folder))
    recipe = folder / "artifacts" / "recipe.toml"
    recipe.write_text(re.sub(r"steps = 4000", f"steps = {steps + 10}", recipe.read_text()))

    run(after, "-m", "dcgan", "resume", "--device", "cpu", "--store", str(tmp_path))

    assert read_fields(folder)["sys/status"] == "finished"
    assert read_steps(folder)["step"].tolist() == list(range(1, steps + 11))
    assert np.isfinite(read_steps(folder)[LOSS]).all()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.batch_size=1796", "too few for 2 processes"),
        ("training.detach_fakes=false", "by one process alone"),
    ],
)
def test_what_cannot_be_divided_is_told(tmp_path: Path, setting: str, said: str) -> None:
    output = run(2, *cli(tmp_path, "train", "digits"), "--set", setting, code=1)
    assert said in re.sub(r"[\s│]+", " ", output)
    assert output.count("Error ─") == 1
    assert "launch.py" not in output, "torchrun has a traceback of its own, we have none"
    assert not run_folders(tmp_path)
