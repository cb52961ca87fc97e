"""The pinned versions install on every Python that README promises."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
OLDEST = "3.11.0"
"""Debian 12 has 3.11.2; a package that needs 3.11.5 breaks both of README's commands there."""


def installed_pins() -> list[str]:
    """The pinned packages that are installed here in the pinned version."""
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.M)
    versions = {name.lower(): version for name, version in pins}
    return [
        each.name
        for each in metadata.distributions()
        if each.version == versions.get(each.name.lower())
    ]


def test_every_pinned_package_installs_on_the_oldest_python() -> None:
    pinned = installed_pins()
    if not pinned:
        pytest.skip("nothing is installed as constraints.txt pins it")
    needs = {name: metadata.metadata(name).get("Requires-Python") or "" for name in pinned}
    assert {name: need for name, need in needs.items() if OLDEST not in SpecifierSet(need)} == {}
