"""What the rules find in committed runs, and that they find nothing in healthy ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.health import examine
from tracking.backends.local import read_fields, read_steps

REFERENCE = Path(__file__).parents[2] / "runs" / "reference"


@pytest.mark.parametrize(
    ("run", "rules"),
    [
        ("celeba-afxqmy", set()),
        ("learning-rate/astro-hg382a", set()),
        ("weight-init/mnist-ablation-6jqet9", set()),
        ("weight-init/mnist-ablation-9c7gdb", {"discriminator_won"}),
        ("quality/digits-9grd83", set()),
        ("astro-gc6k8t", {"discriminator_won"}),
        ("diagnosis/mnist-ablation-ehqcqy", {"discriminator_won", "collapsed"}),
        ("diagnosis/mnist-ablation-c8sf8t", {"discriminator_won", "collapsed"}),
    ],
)
def test_only_what_deserves_it_is_found(run: str, rules: set[str]) -> None:
    folder = REFERENCE / run
    watch = examine(read_fields(folder), read_steps(folder), folder)
    assert {finding.rule for finding in watch.findings} == rules
    assert watch.holding() == [], "all of these recovered"
