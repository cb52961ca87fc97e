"""The exit status of the processes beside the first, which tracks the run."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from dcgan.cli.commands.train import _run
from dcgan.exit_codes import EXIT_INTERRUPTED
from dcgan.jobs import run


@pytest.mark.parametrize(
    ("is_interrupted", "reached_end", "status"),
    [(True, False, EXIT_INTERRUPTED), (True, True, 0), (False, True, 0), (False, False, 0)],
    ids=["interrupted", "too late", "finished", "stopped by a rule"],
)
def test_it_is_that_of_the_first_process(
    is_interrupted: bool, reached_end: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: Any, **__: Any) -> bool:
        if is_interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        return reached_end

    monkeypatch.setattr(run, "train", train)
    job: Any = SimpleNamespace(
        world=SimpleNamespace(rank=1),
        config=None,
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
