"""The processes beside the first, which tracks the run: their exit status, and their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.cli.commands import train as commands
from dcgan.cli.commands.train import _run
from dcgan.config.loading import load_config
from dcgan.exit_codes import EXIT_INTERRUPTED
from dcgan.jobs import prepare, run
from dcgan.training import distributed
from dcgan.training.distributed import World
from tracking.errors import UserError


@pytest.mark.parametrize(
    ("is_interrupted", "reached_end", "status"),
    [
        (True, False, EXIT_INTERRUPTED),
        (True, True, 0),
        (False, True, 0),
        (False, False, 0),
        (True, None, EXIT_INTERRUPTED),
    ],
    ids=["interrupted", "too late", "finished", "stopped by a rule", "the first was interrupted"],
)
def test_it_is_that_of_the_first_process(
    is_interrupted: bool,
    reached_end: bool | None,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(*_: Any, **__: Any) -> bool:
        if is_interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        if reached_end is None:
            raise UserError("Another process could not continue; its own message says why.")
        return reached_end

    monkeypatch.setattr(run, "train", train)
    job: Any = SimpleNamespace(
        world=World(rank=1, size=2),
        config=load_config("digits", []),
        images=SimpleNamespace(pixels=None),
        device=None,
        checkpoint=None,
        initial_weights=None,
    )
    if status == 0:
        _run(job)
    else:
        with pytest.raises(typer.Exit) as ending:
            _run(job)
        assert ending.value.exit_code == status


@dataclass(frozen=True)
class Watched(World):
    """One of two processes, which notes when its turn begins and ends."""

    log: list[str] = field(default_factory=list)

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        self.log.append("begins")
        yield
        self.log.append("ends")


@pytest.mark.parametrize(
    ("command", "prepares"), [(("train", "digits"), "prepare"), (("resume",), "prepare_resume")]
)
def test_images_are_read_by_one_process_after_the_other(
    command: tuple[str, ...], prepares: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Watched(rank=1, size=2)
    monkeypatch.setattr(distributed, "process_group", lambda device: nullcontext(world))
    monkeypatch.setattr(prepare, prepares, lambda *_, **__: world.log.append("prepares"))
    monkeypatch.setattr(commands, "_run", lambda job, **_: world.log.append("trains"))
    result = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert world.log == ["begins", "prepares", "ends", "trains"]
