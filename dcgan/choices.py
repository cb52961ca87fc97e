"""What a user chooses from in the commands and in Python; imports nothing heavy for `--help`."""

from __future__ import annotations

from typing import Literal, TypeAlias

BatchNormMode: TypeAlias = Literal["train", "eval"]
"""Whether batch norm uses the statistics of the current batch, or its running statistics."""

Executor: TypeAlias = Literal["loky", "ray", "dask"]
"""What runs the workers of a sweep: processes on this machine, or a Ray or Dask cluster."""

Weights: TypeAlias = Literal["current", "ema"]
"""G's weights after the last step, or their moving average."""
