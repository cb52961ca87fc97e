"""The arithmetic of a training and of its evaluations, by the flags that PyTorch reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dcgan.config.schema import Config, ConfigError
from dcgan.evaluation import evaluator
from dcgan.evaluation.features import feature_space as module
from dcgan.evaluation.features import inception_network
from dcgan.evaluation.features.inception import load_inception
from dcgan.run_folder import describe
from dcgan.run_folder.describe import describe_device
from dcgan.training.precision import (
    check_precision,
    describe_arithmetic,
    forward_in_precision,
    ieee_float32,
    pytorch_default_convolutions,
    set_arithmetic,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def flags() -> tuple[str, str, bool]:
    """Of matrix products, of convolutions, and whether cuDNN tries its kernels."""
    return (
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,
        torch.backends.cudnn.benchmark,
    )


@pytest.fixture(autouse=True)
def _flags_as_before() -> Iterator[None]:
    matmul, convolution, benchmark = flags()
    yield
    torch.backends.cuda.matmul.fp32_precision = matmul
    torch.backends.cudnn.conv.fp32_precision = convolution
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretends that `GPU` is of a compute capability, or AMD's."""

    def pretend(capability: tuple[int, int], hip: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.version, "hip", hip)

    return pretend


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("auto", ("ieee", "tf32", True)),
        ("fp32", ("ieee", "ieee", True)),
        ("tf32", ("tf32", "tf32", True)),
        ("bf16", ("ieee", "ieee", True)),
    ],
)
def test_each_precision_sets_all_flags(small_config, precision: str, expected: tuple[str, ...]):
    set_arithmetic(small_config(f"training.precision={precision}"), GPU)
    assert flags() == expected


@pytest.mark.parametrize(
    ("capability", "hip", "precision", "expected"),
    [
        ((9, 0), None, "auto", "TF32 in convolutions, else float32"),
        ((7, 5), None, "auto", "float32"),
        ((9, 4), "6.2", "auto", "float32"),
        ((9, 0), None, "fp32", "float32"),
        ((9, 0), None, "tf32", "TF32"),
        ((9, 0), None, "bf16", "bfloat16 in networks, float32 in losses and weights"),
    ],
)
def test_a_run_says_what_its_gpu_computes_in(
    small_config: Callable[..., Config],
    gpu: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    hip: str | None,
    precision: str,
    expected: str,
):
    gpu(capability, hip)
    config = small_config(f"training.precision={precision}")
    check_precision(config, GPU)
    assert describe_arithmetic(config, GPU) == expected
    monkeypatch.setattr(describe, "device_name", lambda device: "a GPU")
    assert describe_device(config, GPU).values["sys/arithmetic"] == expected


@pytest.mark.parametrize(
    ("capability", "hip", "precision"),
    [((7, 5), None, "tf32"), ((9, 4), "6.2", "tf32"), ((7, 5), None, "bf16")],
)
def test_what_a_gpu_has_not_is_refused(
    small_config, gpu: Callable[..., None], capability, hip, precision: str
):
    gpu(capability, hip)
    with pytest.raises(ConfigError, match=f'"{precision}".*\n?.*the device is cuda:0'):
        check_precision(small_config(f"training.precision={precision}"), GPU)


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps", "xpu"])
def test_bf16_is_that_of_the_device_of_the_images(kind: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, torch.dtype]] = []

    def autocast(device: str, dtype: torch.dtype) -> nullcontext[None]:
        asked.append((device, dtype))
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    images = SimpleNamespace(device=torch.device(kind), float=lambda: "in float32")
    assert forward_in_precision(lambda found: found, images, "bf16") == "in float32"
    assert forward_in_precision(lambda found: found, images, "auto") is images
    assert asked == [(kind, torch.bfloat16)]


def test_the_cpu_computes_in_float32(small_config):
    assert describe_arithmetic(small_config(), CPU) == "float32"


def test_evaluations_compute_in_float32_and_leave_the_training_as_it_was(
    small_config, monkeypatch: pytest.MonkeyPatch
):
    config = small_config()
    set_arithmetic(config, GPU)
    seen = []

    def look(*arguments: object, **more: object) -> None:
        seen.append(flags()[:2])
        raise InterruptedError

    monkeypatch.setattr(module.inception, "find_weights", look)
    monkeypatch.setattr(module, "is_labelled", look)
    monkeypatch.setattr(evaluator, "shuffled_indices", look)
    images = SimpleNamespace(pixels=torch.zeros(4, 1, 8, 8))
    reference = SimpleNamespace(train=images.pixels, spaces=[SimpleNamespace(space=None)])
    calls = (
        lambda: module.own_space(images, CPU),
        lambda: module.inception_space(CPU),
        lambda: evaluator.make_reference(images, None, [], 10),
        lambda: evaluator.evaluate(look, reference),
    )
    for call in calls:
        with pytest.raises(InterruptedError):
            call()
    assert seen == [("ieee", "ieee")] * 4
    assert flags()[:2] == ("ieee", "tf32")
    with pytest.raises(ValueError, match="in here"), ieee_float32():
        raise ValueError("in here")
    assert flags()[:2] == ("ieee", "tf32")


@pytest.mark.parametrize(("capability", "inside"), [((9, 0), "tf32"), ((7, 5), "ieee")])
def test_networks_of_others_compute_as_pytorch_does_by_default(
    gpu: Callable[..., None], capability: tuple[int, int], inside: str
) -> None:
    gpu(capability)
    with ieee_float32():
        with pytorch_default_convolutions(GPU):
            assert flags()[1] == inside
        assert flags()[1] == "ieee"


def test_inception_is_such_a_network(
    gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu((9, 0))
    seen: list[str] = []

    class Network:
        def to(self, device: torch.device) -> Network:
            return self

        def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor]:
            seen.append(flags()[1])
            return (images,)

    monkeypatch.setattr(inception_network, "inception_network", lambda weights: Network())
    monkeypatch.setattr(inception_network, "fused", lambda network: network)
    torch.save({}, tmp_path / "weights.pth")
    inception = load_inception(tmp_path / "weights.pth", GPU)
    assert inception.description.endswith("convolutions in TF32")
    with ieee_float32():
        inception.extract(torch.zeros(1, 1, 2, 2))
    assert seen == ["tf32"]
