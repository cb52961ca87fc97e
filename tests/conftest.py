"""The tests run beside each other: one thread per process, and nothing of the user's."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import loky
import pytest
import typer.main
import typer.testing

from tests.support.mlflow_tables import copied_tables
from tracking import fanout

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: many tests wait for a server, a process or a time limit."""
    return loky.cpu_count() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, or the last of them would run alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What all tests import lives as long as the process: no collection looks through it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish() -> None:
    """As before, or libraries would report what is frozen as leaks at the end."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True, scope="session")
def _without_the_users_settings(shared_folder: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "NEPTUNE_", "WANDB_", "DCGAN_")):
            del os.environ[name]
    os.environ["DCGAN_CACHE"] = str(shared_folder / "cache")  # a classifier is trained once for all


@pytest.fixture(autouse=True, scope="session")
def _one_start_of_mlflow(shared_folder: Path) -> Iterator[None]:
    with copied_tables(shared_folder / "mlflow-template.db"):
        yield


@pytest.fixture(autouse=True, scope="session")
def _remotes_have_the_priority_of_the_tests() -> Iterator[None]:
    """Beside other tests, a thread of the lowest priority would hardly ever run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fanout, "LOWEST_PRIORITY", 0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk() -> Iterator[None]:
    """A killed process loses nothing that the kernel has, and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_tree_of_commands() -> Iterator[None]:
    """Typer's runner would build all commands anew for every call, which costs 60 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def float64() -> Iterator[None]:
    """Numbers that differ between processes, threads and kernels by far less than a tolerance."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
