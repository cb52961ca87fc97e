"""The tests run beside each other: one thread per process, and nothing of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _without_the_users_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "NEPTUNE_", "DCGAN_")):
            del os.environ[name]
    os.environ["DCGAN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def float64() -> Iterator[None]:
    """Numbers that differ between processes, threads and kernels by far less than a tolerance."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
