"""Absolute paths in a configuration, because a run or a sweep may be resumed in another folder."""

from __future__ import annotations

from pathlib import Path

from dcgan.config.schema import Config

EXPORTED = ".safetensors"
WEIGHT_FILES = (".pth", ".pt", EXPORTED)
"""How the names of files end that `init.weights` takes; all else there is a run."""


def with_absolute_paths(config: Config, folder: Path | None = None) -> Config:
    """The configuration with absolute paths of images and of weights.

    Args:
        config: The configuration of a new run.
        folder: Where its relative paths begin; the working directory if omitted.
    """

    def absolute(path: str | None) -> str | None:
        if path is None:
            return None
        return str(((folder or Path()) / Path(path).expanduser()).absolute())

    weights = [
        str(absolute(reference)) if reference.endswith(WEIGHT_FILES) else reference
        for reference in config.init.weights or ()
    ]
    return (
        config.replace("dataset", path=absolute(config.dataset.path))
        .replace("evaluation", held_out=absolute(config.evaluation.held_out))
        .replace("init", weights=tuple(weights) or None)
    )
