"""A generator in each format, checked against PyTorch before it is written."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeAlias

import torch
from torch import Tensor, nn

from dcgan.export.description import INPUT, OUTPUT, Description, ExportError
from dcgan.export.weights_file import INSTALL, build_generator, parse_safetensors, to_safetensors
from dcgan.sampling import check_finite, seeded_batches

OPSET = 18
"""ONNX opset: the lowest that PyTorch's exporter writes."""

TOLERANCE = 1e-3
"""The largest difference between images in [-1, 1] that counts as rounding: an eighth of a grey
level."""

_BATCHES = (5, 1)
"""Batch sizes with which a file is checked; it is exported with the first."""

_Run: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Encoded:
    """A file's content.

    Attributes:
        content: Its bytes.
        largest_difference: From the images of the run's own G, which lie in [-1, 1]; None if
            nothing here can run the file.
        checked_with: The program that ran it and its version, or what is missing for that.
    """

    content: bytes
    largest_difference: float | None
    checked_with: str


def encode(generator: nn.Module, description: Description, extension: str) -> Encoded:
    """Encode a generator, and compare the outputs of the file with G's.

    Args:
        generator: G, in eval mode, on the CPU.
        description: Stored in the file.
        extension: One of FORMATS.

    Raises:
        ExportError: A package is missing, or the file computes other images than G.
        GenerationError: Pixels are not finite.
    """
    with torch.no_grad():
        check_finite(generator(_latents(description, _BATCHES[0])))
    with _quiet():
        content, run, checked_with = FORMATS[extension](generator, description)
    if run is None:
        return Encoded(content, None, checked_with)
    difference = _largest_difference(generator, run, description)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{checked_with} computes images that differ by {difference:.2g} from PyTorch's, more "
            f"than {TOLERANCE:g}. Nothing is written."
        )
    return Encoded(content, difference, checked_with)


def _to_onnx(generator: nn.Module, description: Description) -> tuple[bytes, _Run | None, str]:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"{error.name} is not installed.\n{INSTALL}") from error
    latents = _latents(description, _BATCHES[0])
    program = torch.onnx.export(
        generator,
        (latents,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(description.to_metadata())
    content: bytes = program.model_proto.SerializeToString()
    try:
        import onnxruntime
    except ImportError:
        return content, None, f"onnxruntime is not installed. {INSTALL}"
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(latents: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: latents.numpy()})[0])

    return content, run, f"onnxruntime {version('onnxruntime')}"


def _to_pt2(generator: nn.Module, description: Description) -> tuple[bytes, _Run | None, str]:
    latents = _latents(description, _BATCHES[0])
    exported = torch.export.export(
        generator, (latents,), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    buffer = io.BytesIO()
    metadata = json.dumps(description.to_metadata(), indent=2)
    torch.export.save(exported, buffer, extra_files={"description.json": metadata})
    read = torch.export.load(io.BytesIO(buffer.getvalue()))
    return buffer.getvalue(), read.module(), f"torch {version('torch')}"


def _to_safetensors(
    generator: nn.Module, description: Description
) -> tuple[bytes, _Run | None, str]:
    content = to_safetensors(generator, description)
    read = build_generator(parse_safetensors(content), "The file")
    return content, read, f"safetensors {version('safetensors')}"


FORMATS = {".onnx": _to_onnx, ".pt2": _to_pt2, ".safetensors": _to_safetensors}
"""File extension -> the function that encodes a generator and runs the encoded one."""


@torch.no_grad()
def _largest_difference(generator: nn.Module, run: _Run, description: Description) -> float:
    differences = []
    for size in _BATCHES:
        latents = _latents(description, size)
        differences.append((run(latents) - generator(latents)).abs().max())
    return float(torch.stack(differences).max())


def _latents(description: Description, count: int) -> Tensor:
    return next(seeded_batches(count, description.network, seed=0))[:count].clone()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which log and warn about their own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
