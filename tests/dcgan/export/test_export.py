"""Exported generators compute what the run's own G computes, and say what they are."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from dcgan.export import formats, weights_file
from dcgan.export.description import Description, ExportError
from dcgan.export.export_run import export_run
from dcgan.export.weights_file import (
    WeightsFile,
    build_generator,
    load_generator,
    parse_safetensors,
    read_weights_file,
)
from dcgan.models import FAMILIES
from dcgan.run_folder.trained_run import TrainedRun
from tests.support.untrained_run import write_untrained_run

pytest.importorskip("safetensors", reason="safetensors, of the extra export, is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Of a family that has every kind of layer: dense ones, negative padding, both batch norms."""
    folder = write_untrained_run(
        tmp_path_factory.mktemp("store"),
        "digits-aaaaaa",
        "network.family=dense",
        "init.scheme=default",
        "stabilisers.generator_ema=0.9",
    )
    return TrainedRun.open(folder)


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(3, 6, 1, 1, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def images_by(run: TrainedRun, latents: torch.Tensor, **options: str) -> torch.Tensor:
    return run.generator(**options).eval()(latents)  # type: ignore[arg-type, no-any-return]


def test_onnx_takes_any_batch_by_name(run: TrainedRun, latents: torch.Tensor, tmp_path: Path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    exported = export_run(run, tmp_path / "g.onnx", card=False)
    assert exported.files == (tmp_path / "g.onnx",)
    assert exported.encoded.checked_with.startswith("onnxruntime ")
    assert exported.encoded.largest_difference is not None
    assert exported.encoded.largest_difference < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    (found,) = session.run(["images"], {"latents": latents.numpy()})
    assert np.abs(found - images_by(run, latents).numpy()).max() < 1e-4
    metadata = session.get_modelmeta().custom_metadata_map
    assert Description.from_metadata(metadata) == Description.of_run(run)
    assert "[-1, 1]" in metadata["images"]


def test_pt2_takes_any_batch(run: TrainedRun, latents: torch.Tensor, tmp_path: Path):
    exported = export_run(run, tmp_path / "g.pt2", card=False)
    assert exported.encoded.largest_difference == 0
    extra = {"description.json": ""}
    program = torch.export.load(tmp_path / "g.pt2", extra_files=extra)
    torch.testing.assert_close(program.module()(latents), images_by(run, latents))
    assert Description.from_metadata(json.loads(extra["description.json"])) is not None


@pytest.mark.parametrize("weights", ["current", "ema"])
def test_safetensors_are_read_back_without_the_run(
    run: TrainedRun, latents: torch.Tensor, tmp_path: Path, weights: str
):
    file = tmp_path / "g.safetensors"
    exported = export_run(run, file, weights=weights, card=False)  # type: ignore[arg-type]
    assert exported.encoded.largest_difference == 0
    generator = load_generator(file)
    assert not generator.training
    with torch.no_grad():
        assert torch.equal(generator(latents), images_by(run, latents, weights=weights))
    read = read_weights_file(file)
    assert read.description == Description.of_run(run, weights)  # type: ignore[arg-type]
    assert read.tensors.keys() == run.state["generator"].keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_rebuilt_from_its_file(family: str, latents: torch.Tensor, tmp_path: Path):
    settings = [f"network.family={family}", "dataset.image_size=28", "network.latent_law=uniform"]
    run = TrainedRun.open(write_untrained_run(tmp_path, "digits-bbbbbb", *settings))
    export_run(run, tmp_path / "g.safetensors", card=False)
    with torch.no_grad():
        built = load_generator(tmp_path / "g.safetensors")(latents)
    assert torch.equal(built, images_by(run, latents))


def write_foreign(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"0.weight": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_foreign, "not written by dcgan export"),
        (lambda path: path.write_bytes(b"no safetensors"), "it is not a safetensors file"),
        (lambda path: path.write_bytes(b""), "it is not a safetensors file"),
        (lambda path: None, "No such file"),
    ],
)
def test_other_files_are_refused(write: Callable[[Path], None], said: str, tmp_path: Path):
    write(tmp_path / "x.safetensors")
    with pytest.raises(ExportError, match=f"x.safetensors.*{said}"):
        load_generator(tmp_path / "x.safetensors")


def test_tensors_of_another_program_are_read_without_a_description(tmp_path: Path):
    write_foreign(tmp_path / "x.safetensors")
    read = read_weights_file(tmp_path / "x.safetensors")
    assert list(read.tensors) == ["0.weight"]
    assert read.description is None


def test_a_description_of_impossible_images_is_refused(run: TrainedRun):
    description = replace(Description.of_run(run), sides=(65, 65))
    read = parse_safetensors(weights_file.to_safetensors(run.generator(), description))
    with pytest.raises(ExportError, match=r"x describes images that no network here makes.*65"):
        build_generator(read, "x")


def test_weights_of_another_network_are_refused(run: TrainedRun):
    content = weights_file.to_safetensors(run.generator(), Description.of_run(run))
    read = parse_safetensors(content)
    tensors = {name: tensor for name, tensor in read.tensors.items() if name != "1.weight"}
    with pytest.raises(ExportError, match=r"1\.weight"):
        build_generator(WeightsFile(tensors, read.description), "x")


def test_a_file_that_computes_other_images_is_not_written(
    run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    generator = run.generator().eval()
    monkeypatch.setitem(
        formats.FORMATS, ".pt2", lambda *_: (b"", lambda z: generator(z) + 0.01, "a program")
    )
    with pytest.raises(ExportError, match=r"differ by 0.01 from PyTorch's"):
        export_run(run, tmp_path / "new" / "g.pt2")
    monkeypatch.setitem(
        formats.FORMATS, ".pt2", lambda *_: (b"", lambda z: generator(z) * torch.nan, "a program")
    )
    with pytest.raises(ExportError, match="differ by nan"):
        export_run(run, tmp_path / "new" / "g.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "ending"),
    [("onnx", ".onnx"), ("onnxscript", ".onnx"), ("safetensors.torch", ".safetensors")],
)
def test_what_is_missing_is_named_with_the_extra_to_install(
    run: TrainedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    ending: str,
):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ExportError, match=r"(?s)not installed.*pip install .* -e '\.\[export\]'"):
        export_run(run, tmp_path / "new" / f"g{ending}")
    assert list(tmp_path.iterdir()) == []


def test_the_grid_of_the_card_is_that_of_dcgan_sample(run: TrainedRun, tmp_path: Path):
    export_run(run, tmp_path / "g.safetensors")
    with PIL.Image.open(io.BytesIO((tmp_path / "samples.png").read_bytes())) as picture:
        assert picture.size == (8 * 34 + 2, 8 * 34 + 2)
