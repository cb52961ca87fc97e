"""A generator's weights as a safetensors file, written and read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from torch import Tensor, nn

from dcgan.config.dataset import Dataset
from dcgan.export.description import Description, ExportError
from dcgan.models import FAMILIES
from tracking.wording import install_extra

INSTALL = f"Install it with: {install_extra('export')}"


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """The contents of a safetensors file.

    Attributes:
        tensors: The tensors by the names of G's state dictionary, such as `0.weight`; on the CPU.
        description: The description of the generator; None if another program wrote the file.
    """

    tensors: dict[str, Tensor]
    description: Description | None


def to_safetensors(generator: nn.Module, description: Description) -> bytes:
    """The file of a generator: its state dictionary, and its description as metadata.

    Raises ExportError if safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        _refuse(error)
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    return save(tensors, {"format": "pt", **description.to_metadata()})


def read_weights_file(path: Path) -> WeightsFile:
    """Read a safetensors file, of `dcgan export` or of another program.

    Raises ExportError if it cannot be read, or safetensors is not installed.
    """
    try:
        return parse_safetensors(path.read_bytes())
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ExportError(f"{path} cannot be read: {error}.") from error


def parse_safetensors(content: bytes) -> WeightsFile:
    """The inverse of `to_safetensors`.

    Raises ValueError if the content is not that of such a file, and ExportError if safetensors is
    not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        _refuse(error)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise ValueError(f"it is not a safetensors file ({error})") from error
    header_size = int.from_bytes(content[:8], "little")  # as the format is defined
    metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__", {})
    return WeightsFile(tensors, Description.from_metadata(metadata))


def load_generator(path: Path) -> nn.Sequential:
    """Build the generator of a file that `dcgan export` wrote, in eval mode, on the CPU.

    Raises ExportError if the file is of another program, or cannot be read.
    """
    return build_generator(read_weights_file(path), str(path))


def build_generator(file: WeightsFile, name: str) -> nn.Sequential:
    """Build the generator that a file describes, with its weights, in eval mode.

    name: What errors call the file. Raises ExportError if it does not describe a generator.
    """
    description = file.description
    if description is None:
        raise ExportError(
            f"{name} does not describe a network: it was not written by dcgan export."
        )
    form = {"image_size": description.sides, "channels": description.channels}
    try:
        dataset = Dataset.model_validate({"name": "folder", **form})
    except ValueError as error:
        raise ExportError(f"{name} describes images that no network here makes: {form}.") from error
    family = FAMILIES[description.network.family]
    generator: nn.Sequential = family.build_generator(dataset, description.network)
    try:
        generator.load_state_dict(file.tensors)
    except RuntimeError as error:
        raise ExportError(f"{name} does not hold the weights of its network: {error}") from error
    return generator.eval()


def _refuse(error: ImportError) -> NoReturn:
    raise ExportError(f"safetensors is not installed.\n{INSTALL}") from error
