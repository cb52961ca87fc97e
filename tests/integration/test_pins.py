"""The pinned versions install on every Python that README promises."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
OLDEST = "3.11.0"
"""Debian 12 has 3.11.2; a package that needs 3.11.5 breaks both of README's commands there."""


def pythons_of_pinned_packages() -> dict[str, str]:
    """Which Python the packages need that are installed here in their pinned version."""
    lines = CONSTRAINTS.read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)$", lines, re.M))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    return {
        each.name: each.metadata.get("Requires-Python") or ""
        for each in metadata.distributions()
        if each.version == versions.get(canonicalize_name(each.name))
    }


def test_every_pinned_package_installs_on_the_oldest_python() -> None:
    pythons = pythons_of_pinned_packages()
    if not pythons:
        pytest.skip("nothing is installed as constraints.txt pins it")
    too_new = {name: need for name, need in pythons.items() if OLDEST not in SpecifierSet(need)}
    assert too_new == {}
