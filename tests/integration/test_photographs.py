"""The list of photographs that stand in for those of a source."""

from __future__ import annotations

import re
from pathlib import Path

LIST = Path(__file__).parents[2] / "runs" / "reference" / "photographs.sha256"


def test_it_lists_as_many_photographs_as_the_source_had() -> None:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    entries = [re.fullmatch(r"([0-9a-f]{64})  ([\w.+-]+\.png)", line) for line in lines]
    assert all(entries), "as sha256sum --check reads it"
    digests, names = zip(*(entry.groups() for entry in entries if entry), strict=True)
    assert len(set(digests)) == len(set(names)) == 200
    assert list(names) == sorted(names)
