"""The tests run beside each other: one thread a process, and nothing of the user's."""

from __future__ import annotations

import os

import pytest

os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True, scope="session")
def _without_the_users_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "NEPTUNE_", "DCGAN_")):
            del os.environ[name]
    os.environ["DCGAN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
