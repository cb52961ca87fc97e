"""Checkpoints: whole or absent, the last two and the marked ones."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from dcgan.training.checkpoint import (
    CheckpointError,
    checkpoint_step,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)

CPU = torch.device("cpu")


def steps(folder: Path) -> list[int]:
    return [checkpoint_step(path) for path in list_checkpoints(folder)]


def test_the_last_two_and_the_marked_stay(tmp_path: Path):
    for step in range(1, 7):
        save_checkpoint(tmp_path, step, {"step": step}, marked=step in (2, 3))
    assert steps(tmp_path) == [2, 3, 5, 6]
    assert load_checkpoint(find_checkpoint(tmp_path)) == {"step": 6}
    assert load_checkpoint(find_checkpoint(tmp_path, 3)) == {"step": 3}


def test_the_best_stays_until_there_is_a_better_one(tmp_path: Path):
    with pytest.raises(CheckpointError, match="There is no checkpoint of the run"):
        find_checkpoint(tmp_path, "best")
    for step in range(1, 8):
        save_checkpoint(tmp_path, step, {"step": step}, marked=step == 1, best=step in (1, 2, 4))
    assert steps(tmp_path) == [1, 4, 6, 7]
    assert load_checkpoint(find_checkpoint(tmp_path, "best")) == {"step": 4}


def test_without_an_evaluation_none_is_the_best(tmp_path: Path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    with pytest.raises(CheckpointError, match="--evaluate-every 1"):
        find_checkpoint(tmp_path, "best")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):  # by the version of Python
        save_checkpoint(tmp_path, 2, {"step": lambda: None})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]


def test_no_checkpoint_a_missing_step_and_a_damaged_file(tmp_path: Path):
    with pytest.raises(CheckpointError, match="There is no checkpoint of the run"):
        find_checkpoint(tmp_path)
    path = save_checkpoint(tmp_path, 5, {"weights": torch.zeros(100)})
    with pytest.raises(CheckpointError, match="step 4; choose one of: 5"):
        find_checkpoint(tmp_path, 4)
    with pytest.raises(CheckpointError, match=r"no checkpoint 'bets'; choose one of: 5, last\."):
        find_checkpoint(tmp_path, "bets")  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)


def test_a_flipped_bit_is_found_wherever_it_lies(tmp_path: Path):
    weights = torch.arange(500.0)
    path = save_checkpoint(tmp_path, 5, {"step": 5, "weights": weights})
    content = path.read_bytes()
    start = content.index(weights.numpy().tobytes())
    for place in range(start, start + 4 * len(weights), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"record .* is damaged"):
            load_checkpoint(path)


def test_a_file_is_no_checkpoint_of_another_step(tmp_path: Path):
    path = save_checkpoint(tmp_path, 5, {"step": 5})
    with pytest.raises(CheckpointError, match="not a checkpoint of step 6"):
        load_checkpoint(path.rename(tmp_path / "step-00000006.pt"))
    for content in ("hello\n", ""):
        (tmp_path / "step-00000007.pt").write_text(content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_checkpoint(tmp_path / "step-00000007.pt")


def test_a_file_that_a_person_left_is_no_checkpoint(tmp_path: Path):
    save_checkpoint(tmp_path, 5, {"step": 5})
    for name in ("step-00000005 copy.pt", "step-last.pt", "notes.txt"):
        (tmp_path / name).touch()
    assert steps(tmp_path) == [5]


def test_a_checkpoint_cannot_run_code(tmp_path: Path):
    torch.save({"code": Path}, tmp_path / "step-00000001.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(find_checkpoint(tmp_path))
