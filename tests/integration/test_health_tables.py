"""What docs/diagnosis.md and `dcgan diagnose` say of the rules is what was measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def health_page() -> ModuleType:
    return script("health_page")


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


def test_the_curves_of_the_page_say_what_lies_along_their_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    pictures = script("health_pictures")
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "draw_caption", drawn.append)
    folder = pictures.REFERENCE / "mnist-ablation-ehqcqy"
    pictures.draw(folder, "The run.", tmp_path / "picture.png", 547)
    (figure,) = drawn
    assert [axes.get_xlabel() for axes in figure.axes] == ["step", "step", "", ""]
