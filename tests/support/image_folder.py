"""A folder of images as a data set, and what the cache makes of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import PIL.Image

from dcgan.config.dataset import Dataset
from dcgan.data.loading import load_images
from dcgan.data.progress import LoadingCallbacks, Progress, showing_images, silent


def save(file: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 36, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(file)


def dataset(folder: Path, **settings: object) -> Dataset:
    return Dataset.model_validate(
        {"name": "folder", "path": str(folder), "image_size": 32, **settings}
    )


def told(*, hashed: Progress = silent, decoded: Progress = silent) -> AbstractContextManager[None]:
    """Within it, these are called while sets are loaded."""
    return showing_images(lambda: nullcontext(LoadingCallbacks(hashed, decoded)))


def decoded(folder: Path, **settings: object) -> int:
    """How many images a load decodes: 0 where it comes from the cache."""
    calls = [0]
    with told(decoded=lambda done, total: calls.append(done)):
        load_images(dataset(folder, **settings))
    return calls[-1]


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / "images").iterdir() if entry.is_dir())
