"""The description that an exported generator carries, in every format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version

from dcgan.choices import Weights
from dcgan.config.schema import Config, Network
from dcgan.run_folder.trained_run import TrainedRun
from tracking.errors import UserError

INPUT, OUTPUT = "latents", "images"
"""The names of the generator's input and output."""


class ExportError(UserError):
    """A generator that cannot be exported, or a file without a generator."""


@dataclass(frozen=True)
class Description:
    """The generator in a file, and how to use it.

    Attributes:
        run: The run's id.
        step: The training step of its checkpoint.
        weights: `current` for G, `ema` for its moving average.
        network: Its architecture.
        sides: Height and width of an image in pixels.
        channels: 1 for grey, 3 for RGB.
    """

    run: str
    step: int
    weights: Weights
    network: Network
    sides: tuple[int, int]
    channels: int

    @classmethod
    def of_run(cls, run: TrainedRun, weights: Weights | None = None) -> Description:
        """Describe a run's generator. weights: If omitted, those that the run's own grids use."""
        config: Config = run.config
        return cls(
            run.folder.name,
            run.step,
            weights or config.images.weights,
            config.network,
            config.dataset.sides,
            config.dataset.channels,
        )

    @property
    def input(self) -> str:
        """The input: its shape, and how to draw it."""
        law = "U[-1, 1]" if self.network.latent_law == "uniform" else "N(0, 1)"
        return f"float32 (batch, {self.network.latent_size}, 1, 1), drawn from {law}"

    @property
    def output(self) -> str:
        """The output: its shape and range, and how to make pixels of it."""
        height, width = self.sides
        return (
            f"float32 (batch, {self.channels}, {height}, {width}) in [-1, 1]; "
            "(images + 1) * 127.5 gives pixels from 0 to 255"
        )

    def to_metadata(self) -> dict[str, str]:
        """The description as strings, which every format can hold."""
        return {
            "producer": f"dcgan-lab {version('dcgan-lab')}",
            "run": self.run,
            "step": str(self.step),
            "weights": self.weights,
            "network": json.dumps(self.network.model_dump(mode="json")),
            "image_size": json.dumps(self.sides),
            "channels": str(self.channels),
            INPUT: self.input,
            OUTPUT: self.output,
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> Description | None:
        """The inverse of `to_metadata`; None for any other metadata."""
        try:
            height, width = json.loads(metadata["image_size"])
            return cls(
                metadata["run"],
                int(metadata["step"]),
                "ema" if metadata["weights"] == "ema" else "current",
                Network.model_validate(json.loads(metadata["network"])),
                (int(height), int(width)),
                int(metadata["channels"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
