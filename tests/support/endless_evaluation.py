"""A training whose evaluations do not end, as those with plain FID do not for half an hour."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dcgan.evaluation import callback
from tests.support.forked import dcgan

BEGUN = "evaluation-begun"
"""Written to the working directory once the first process evaluates."""


def _evaluate(*_arguments: Any, **_options: Any) -> Any:
    Path(BEGUN).touch()
    while True:
        time.sleep(0.1)


def main(*arguments: str) -> None:
    """Be the command `dcgan`."""
    callback.feature_spaces = _evaluate  # what an evaluation begins with
    dcgan(*arguments)
