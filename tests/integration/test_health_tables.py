"""What docs/diagnosis.md and `dcgan diagnose` say of the rules is what was measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def health_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "health_page", ROOT / "benchmarks" / "health_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(health_page: ModuleType) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(health_page.RESULTS.read_text(encoding="utf-8"))
    return content


def test_the_page_has_the_tables_of_the_results(
    health_page: ModuleType, results: dict[str, Any]
) -> None:
    page = health_page.PAGE.read_text(encoding="utf-8")
    assert health_page.write_page(page, health_page.sections(results)) == page
    judged = results["judged"]
    changed = {**results, "judged": {**judged, "any": {**judged["any"], "found": 0}}}
    assert health_page.write_page(page, health_page.sections(changed)) != page


def test_diagnose_prints_the_results(health_page: ModuleType, results: dict[str, Any]) -> None:
    printed = json.loads((ROOT / "diagnosis" / "measured.json").read_text(encoding="utf-8"))
    assert printed == health_page.printed_by_diagnose(results)


def test_a_page_without_a_section_is_refused(health_page: ModuleType) -> None:
    with pytest.raises(ValueError, match="0 sections wrong"):
        health_page.write_page("# Diagnosis\n", {"wrong": "| rule |"})
