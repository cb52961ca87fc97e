"""The suite sees none of the user's settings."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _without_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in os.environ:
        if variable.startswith(("MLFLOW_", "NEPTUNE_", "WANDB_")):
            monkeypatch.delenv(variable)
