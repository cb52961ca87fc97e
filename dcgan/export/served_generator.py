"""A packaged generator as `mlflow models serve` loads it: from seeds or latents to images.

MLflow calls `_load_pyfunc` by its name, and then `predict`. Nothing here imports MLflow.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import torch
from torch import Tensor, nn

from dcgan.config.loading import load_config
from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.sampling import check_finite, generate, image_grid, seeded_batches

RECIPE = "recipe.toml"
WEIGHTS = "generator.pt"
PICTURE = "grid.png"

MAX_IMAGES = 4096
"""The most images in one answer, which are in memory together."""


class RequestError(ValueError):
    """A request that the generator cannot answer; the message says how to correct it."""


class ServedGenerator:
    """Answers requests with images, drawn as `dcgan sample` draws them.

    Args:
        config: The run's configuration.
        generator: G, on the CPU.
    """

    def __init__(self, config: Config, generator: nn.Module) -> None:
        self._config = config
        self._generator = generator

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Draw images.

        Args:
            model_input: In each row either `latents`, as many numbers as G takes, for one image;
                or `seed` and `count`, 1 if omitted, for as many images.
            params: Not used; part of MLflow's interface.

        Returns:
            One row per image, in the order of the rows: `image`, a PNG file in base64.

        Raises:
            RequestError: A row has neither, or there are too many images.
            GenerationError: Pixels are not finite.
        """
        rows = [
            {str(name): value for name, value in row.items() if not _is_missing(value)}
            for row in model_input.to_dict("records")
        ]
        if sum(_count(row) for row in rows) > MAX_IMAGES:
            raise RequestError(f"One request may ask for at most {MAX_IMAGES:,} images.")
        return pd.DataFrame({"image": [text for row in rows for text in self._draw(row)]})

    def _draw(self, row: Mapping[str, Any]) -> Iterator[str]:
        images = generate(self._generator, self._latents(row), "eval")
        check_finite(images)
        if self._config.images.inverted:
            images = -images
        for image in images.split(1):
            yield _to_base64(image)

    def _latents(self, row: Mapping[str, Any]) -> Tensor:
        network = self._config.network
        if "latents" in row:
            latents = np.asarray(row["latents"], dtype=np.float32)
            if latents.shape != (network.latent_size,) or not np.isfinite(latents).all():
                raise RequestError(f"`latents` must be {network.latent_size} finite numbers.")
            return torch.from_numpy(latents).reshape(1, -1, 1, 1)
        if "seed" not in row:
            raise RequestError("Give `seed` and `count`, or `latents`.")
        if int(row["seed"]) < 0:
            raise RequestError("`seed` must not be negative.")
        # In batches, because PyTorch draws other numbers at the end of other counts.
        count = _count(row)
        return torch.cat(list(seeded_batches(count, network, int(row["seed"]))))[:count]


def _load_pyfunc(data_path: str) -> ServedGenerator:
    """Load a folder that `dcgan.export.package_generator` wrote; MLflow calls it by this name."""
    folder = Path(data_path)
    config = load_config(str(folder / RECIPE), [])
    generator, _ = build_networks(config, seed=0)
    generator.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    return ServedGenerator(config, generator)


def _count(row: Mapping[str, Any]) -> int:
    """The number of images of a row."""
    count = 1 if "latents" in row else int(row.get("count", 1))
    if count < 1:
        raise RequestError("`count` must be 1 or more.")
    return count


def _is_missing(value: object) -> bool:
    """Whether a value is None, or the NaN that pandas puts where a row lacks a column."""
    return value is None or (isinstance(value, float) and np.isnan(value))


def _to_base64(image: Tensor) -> str:
    """One image (1, C, H, W) in [-1, 1] as a PNG file."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image_grid(image).squeeze()).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
