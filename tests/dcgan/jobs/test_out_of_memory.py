"""A training that runs out of memory is an error in words, and its run is marked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.config.loading import load_config
from dcgan.config.schema import Config, ConfigError
from dcgan.jobs import out_of_memory, run
from dcgan.jobs.out_of_memory import explaining_lack_of_memory
from dcgan.profiling.step_memory import StepCost
from dcgan.samples import pixels
from dcgan.training.distributed import SINGLE_PROCESS
from tests.support.refusal import error_of
from tests.support.untrained_run import write_untrained_run
from tracking.backends.local import read_fields, run_folders

CPU = torch.device("cpu")
GIB = 2**30


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def explained(fail: Callable[[], object], device: torch.device = CPU) -> str:
    with (
        pytest.raises(ConfigError) as caught,
        explaining_lack_of_memory(load_config("digits", []), device, SINGLE_PROCESS),
    ):
        fail()
    return str(caught.value)


def test_an_allocation_that_no_machine_can_make() -> None:
    message = explained(lambda: torch.empty(2**50))
    assert message.startswith("cpu ran out of memory: this training held ")
    assert message.endswith("or start a run with a smaller training.batch_size.")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1.0 GB)"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=lambda error: str(error)[:24],
)
def test_what_every_allocator_says(error: Exception) -> None:
    assert "ran out of memory" in explained(raising(error))


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("out of memory")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    config = load_config("digits", [])
    with (
        pytest.raises(type(error)) as caught,
        explaining_lack_of_memory(config, CPU, SINGLE_PROCESS),
    ):
        raise error
    assert caught.value is error


def test_it_computes_nothing_when_there_is_no_memory_left(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[Config] = []

    def cost(config: Config) -> StepCost:
        costs.append(config)
        return StepCost(fixed_bytes=GIB, bytes_per_image=GIB)

    def fail() -> None:
        assert costs
        monkeypatch.setattr(out_of_memory, "step_cost", raising(MemoryError()))
        raise MemoryError

    monkeypatch.setattr(out_of_memory, "step_cost", cost)
    assert "a step of 32 images of 32x32 takes about 33.0 GiB" in explained(fail)


def test_it_says_who_held_the_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(memory_reserved=lambda device: 10 * GIB)
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    monkeypatch.setattr(out_of_memory, "memory_of", lambda device: (1 * GIB, 80 * GIB))
    message = explained(raising(torch.OutOfMemoryError("CUDA out of memory")), torch.device("cuda"))
    assert message.startswith(
        "cuda ran out of memory: this training held 10.0 GiB of it, and other programs and the "
        "driver 69.0.\n"
    )


@pytest.mark.parametrize("part", ["train", "try_compiling"])
def test_a_run_that_fails_so_is_marked_and_ends_without_a_traceback(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, part, raising(torch.OutOfMemoryError("CUDA out of memory")))
    arguments = ["train", "digits", "--steps", "1", "--device", "cpu", "--store", str(tmp_path)]
    if part == "try_compiling":
        arguments.append("--compile")
    shown = error_of(CliRunner().invoke(app, arguments, env={"COLUMNS": "120"}))
    assert "cpu ran out of memory" in shown
    (folder,) = run_folders(tmp_path)
    fields = read_fields(folder)
    assert fields["sys/status"] == "failed"
    assert str(fields["sys/error"]).startswith("cpu ran out of memory")


def test_a_worker_of_several_processes_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "train", raising(torch.OutOfMemoryError("CUDA out of memory")))
    job: Any = SimpleNamespace(
        world=SINGLE_PROCESS,
        config=load_config("digits", []),
        images=SimpleNamespace(pixels=None),
        device=CPU,
        checkpoint=None,
        initial_weights=None,
    )
    with pytest.raises(ConfigError, match="cpu ran out of memory"):
        run.run_worker_rank(job)


def test_other_commands_say_it_too_and_other_errors_keep_their_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_untrained_run(tmp_path, "digits-aaaaaa")
    arguments = ["sample", "last", "-o", str(tmp_path / "grid.png"), "--store", str(tmp_path)]

    def fail_with(error: Exception) -> Result:
        monkeypatch.setattr(pixels, "images_of", raising(error))
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})

    shown = error_of(fail_with(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nmore")))
    assert "Memory ran out: CUDA out of memory. Tried 2 GiB. End other programs" in shown
    other = RuntimeError("shapes differ")
    assert fail_with(other).exception is other
