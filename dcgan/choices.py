"""The choices that commands and Python offer; imports nothing heavy, to keep `--help` fast."""

from __future__ import annotations

from typing import Literal, TypeAlias

BatchNormMode: TypeAlias = Literal["train", "eval"]
"""Whether batch norm uses the statistics of the current batch, or its running statistics."""

Executor: TypeAlias = Literal["loky", "ray", "dask"]
"""Where the workers of a sweep run: processes on this machine, or a Ray or Dask cluster."""

Weights: TypeAlias = Literal["current", "ema"]
"""G's weights after the last step, or their moving average."""

MIN_SAMPLES = 100
"""The fewest fakes of an evaluation that a user may ask for."""

LARGEST_SEED = 2**63 - 1
"""The largest seed of a recipe and of images; PyTorch takes none from 2^64 on."""
