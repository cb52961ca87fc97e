"""The device that is chosen, on machines that this one only pretends to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from dcgan.cli import app, errors
from dcgan.config.schema import Config, ConfigError, ProcessError
from dcgan.run_folder.describe import describe_device
from dcgan.training import device as devices
from dcgan.training.device import choose_device, device_name, devices_for_runs, synchronise

Pretend = Callable[..., None]
NAMES = {"cuda": "NVIDIA H100", "xpu": "Intel Arc A770"}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Give this machine GPUs of a type, on which kernels run unless one fails with `fault`."""
    for variable in ("LOCAL_RANK", *devices._VISIBLE_GPUS):
        monkeypatch.delenv(variable, raising=False)

    def arrange(kind: str | None, count: int = 1, fault: str | None = None) -> None:
        def current(check_available: bool = False) -> torch.device | None:
            return torch.device(kind) if kind else None

        def run_kernel(device: torch.device) -> None:
            if device.type not in ("cpu", kind):
                raise AssertionError(f"Torch not compiled with {device.type} enabled")
            if fault:
                raise RuntimeError(f"{fault}\nCUDA kernel errors might be reported later")

        monkeypatch.setattr(torch.accelerator, "current_accelerator", current)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: count if kind else 0)
        monkeypatch.setattr(devices, "_run_kernel", run_kernel)
        monkeypatch.setattr(
            torch,
            "get_device_module",
            lambda device: SimpleNamespace(get_device_name=lambda device: NAMES[device.type]),
        )

    return arrange


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [("cuda", "cuda:0"), ("xpu", "xpu:0"), ("mps", "mps"), (None, "cpu")],
)
def test_auto_takes_the_accelerator_or_else_the_cpu(
    pretend: Pretend, kind: str | None, chosen: str
):
    pretend(kind)
    assert choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")


def test_a_device_that_computes_nothing_is_not_taken():
    with pytest.raises(ConfigError, match="device = meta: there is no such device"):
        choose_device("meta")


def test_a_gpu_without_kernels_is_named_with_what_to_do(pretend: Pretend):
    fault = "CUDA error: no kernel image is available for execution on the device"
    pretend("cuda", 2, fault)
    with pytest.raises(ConfigError) as caught:
        choose_device("auto")
    assert re.search(
        rf"cuda:0 \(NVIDIA H100\) cannot compute .*: {fault}$", str(caught.value), re.M
    )
    assert "install a build of PyTorch for this GPU" in str(caught.value)
    assert "the device cpu" in str(caught.value)
    assert "reported later" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "current"),
    [
        ("cuda", "cuda:1", ["cuda:1"]),
        ("xpu", "xpu", ["xpu:0"]),
        ("mps", "mps", []),
        ("mps", "cpu", []),
    ],
)
def test_the_chosen_gpu_is_pytorchs_current_one(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, current: list[str]
):
    run_kernel, ones = devices._run_kernel, torch.ones
    computed_on: list[torch.device] = []
    chosen: list[str] = []

    def ones_here(*shape: int, device: torch.device) -> torch.Tensor:
        computed_on.append(device)
        return ones(*shape)

    pretend(kind, 2)
    monkeypatch.setattr(devices, "_run_kernel", run_kernel)
    monkeypatch.setattr(torch, "ones", ones_here)
    monkeypatch.setattr(
        torch.accelerator, "set_device_index", lambda device: chosen.append(str(device))
    )
    device = choose_device(name)
    assert chosen == current
    assert set(computed_on) == (set() if name == "cpu" else {device})


@pytest.mark.parametrize(
    ("kind", "count", "name", "choices"),
    [
        ("cuda", 2, "cuda:2", "cpu, cuda:0, cuda:1, or auto"),
        ("xpu", 2, "cuda", "cpu, xpu:0, xpu:1, or auto"),
        ("mps", 1, "cuda:0", "cpu, mps, or auto"),
        (None, 0, "cuda", "cpu, or auto"),
        (None, 0, "gpu", "cpu, or auto"),
    ],
)
def test_the_choice_is_among_the_devices_that_are_there(
    pretend: Pretend, kind: str | None, count: int, name: str, choices: str
):
    pretend(kind, count)
    with pytest.raises(ConfigError, match=f"device = {name}: .*\nChoose one of: {choices}\\."):
        choose_device(name)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_gets_a_gpu_of_its_own(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, name: str
):
    pretend("cuda", 4)
    for rank in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert choose_device(name) == torch.device(f"cuda:{rank}")
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_a_process_that_sees_its_own_gpu_alone_takes_it(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
):
    pretend("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert choose_device("auto") == torch.device("cuda:0")


@pytest.mark.parametrize(("count", "names"), [(1, "cuda:0"), (2, "cuda:0 to cuda:1")])
def test_a_process_without_a_gpu_is_told_how_many_there_are(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, count: int, names: str
):
    pretend("cuda", count)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ProcessError) as caught:
        choose_device("auto")
    assert "LOCAL_RANK is 2" in str(caught.value)
    assert f"it sees only {count} of type cuda ({names})" in str(caught.value)
    assert f"--nproc-per-node {count}" in str(caught.value)


def shown(*arguments: str) -> str:
    """The error that a command ends with."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2, result.output
    return re.sub(r"[\s│]+", " ", result.output)


def test_a_process_whose_error_is_its_own_reports_it_at_once(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
):
    pretend("cuda", 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(errors.time, "sleep", lambda seconds: pytest.fail("it need not wait"))
    message = shown("train", "digits")
    assert "Error in process 3" in message
    assert "This process has no GPU of its own: LOCAL_RANK is 3" in message


@pytest.mark.parametrize("mistake", ["no-such", "--no-such"])
def test_another_process_waits_for_the_first_to_report_what_befalls_both(
    mistake: str, monkeypatch: pytest.MonkeyPatch
):
    waited: list[float] = []
    monkeypatch.setattr(errors.time, "sleep", waited.append)
    for rank, seconds in (("0", []), ("1", [errors.FIRST_PROCESS_SECONDS])):
        monkeypatch.setenv("RANK", rank)
        assert mistake in shown("train", mistake)
        assert waited == seconds


def test_runs_can_be_spread_over_the_gpus_that_the_name_leaves_open(pretend: Pretend):
    pretend("cuda", 3)
    assert devices_for_runs("auto") == devices_for_runs("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert devices_for_runs("cuda:1") == ["cuda:1"]
    assert devices_for_runs("cpu") == ["cpu"]
    pretend("mps")
    assert devices_for_runs("auto") == ["auto"]


def test_devices_have_the_names_that_torch_knows(
    small_config: Callable[..., Config], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
):
    config = small_config()
    pretend("cuda")
    assert device_name(torch.device("cuda:0")) == "NVIDIA H100"
    assert device_name(torch.device("xpu:0")) == "Intel Arc A770"
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M2 Max", raising=False)
    assert device_name(torch.device("mps")) == "Apple M2 Max"
    described = [
        describe_device(config, torch.device(name)).values["sys/device"]
        for name in ("mps", "xpu:1", "cpu")
    ]
    assert described == ["mps: Apple M2 Max", "xpu:1: Intel Arc A770", "cpu"]


def test_every_device_but_the_cpu_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    waited_for: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited_for.append)
    named = [torch.device(name) for name in ("cpu", "cuda:1", "mps", "xpu:0")]
    for device in named:
        synchronise(device)
    assert waited_for == named[1:]
