"""The report on a single run: its training in motion, and what its generator makes."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pypdf
import pytest

from analysis.report import compose, save_report
from analysis.report import moving_pictures as moving
from analysis.report.content import Report
from analysis.report.generator_section import GeneratorImages
from analysis.runs import load
from tests.support.drawn_run import random_values, write_run
from tests.support.sample_journals import SIZE, write_journal
from tracking.events import GRID_PADDING

COMMANDS = ("dcgan sample run -n 50000 -o run/", "dcgan export run -o e/g.onnx")


def generated() -> GeneratorImages:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (2, 4, 8, 8, 1), np.uint8)
    walk = rng.integers(0, 256, (6, 8, 8, 1), np.uint8)
    return GeneratorImages("run", 40, samples, walk, (3, 7), 3, COMMANDS)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    store = tmp_path_factory.mktemp("store")
    write_journal(store, "run", seed=0)
    return compose(load(store), generated=generated())


def webps(page: str) -> list[PIL.Image.Image]:
    found = re.findall(r"data:image/webp;base64,([A-Za-z0-9+/=]+)", page)
    return [PIL.Image.open(io.BytesIO(base64.b64decode(content))) for content in found]


def test_a_page_shows_the_training_beside_the_slider_and_the_generator(
    report: Report, tmp_path: Path
) -> None:
    save_report(report, tmp_path / "page.html", "html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    training, walk = webps(page)
    assert (training.n_frames, walk.n_frames) == (2, 6)  # type: ignore[attr-defined]
    panels = page.partition('class="panels"')[2].partition("</figure>")[0]
    assert "data:image/webp" in panels
    assert page.count("prefers-reduced-motion") == 2
    assert "<h2>The generator</h2>" in page
    for command in COMMANDS:
        assert command in page
    assert "8 images by run at step 40" in page


def test_markdown_has_its_animations_beside_it(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.report.save.save", lambda *_: [])  # figures take their time
    _, *files = save_report(report, tmp_path / "page.md", "md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    for name in ("training.webp", "walk.webp"):
        assert tmp_path / "page_files" / name in files
        assert f"](<page_files/{name}>)" in text
    assert PIL.Image.open(tmp_path / "page_files" / "walk.webp").format == "WEBP"


def test_paper_has_the_samples_and_the_way_of_the_walk(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "page.pdf", "pdf")
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "page.pdf").pages)
    assert "New images by run at step 40" in text
    assert COMMANDS[1] in text
    assert [picture.name for picture in report.pictures[-2:]] == ["samples", "walk_strip"]


def test_without_a_checkpoint_there_is_no_generator_and_without_grids_no_motion(
    tmp_path: Path,
) -> None:
    write_run(tmp_path / "run", random_values(5))
    report = compose(load(tmp_path))
    assert not report.animations
    assert "The generator" not in [section.title for section in report.sections]


def test_several_runs_do_not_move(tmp_path: Path) -> None:
    for seed in range(2):
        write_journal(tmp_path, f"run-{seed}", seed=seed)
    assert compose(load(tmp_path)).animations == []


def test_many_grids_stay_within_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    files = {step: tmp_path / f"{step}.png" for step in range(100)}
    for file in files.values():
        PIL.Image.fromarray(rng.integers(0, 256, (66, 66, 3), np.uint8)).save(file)
    monkeypatch.setattr(moving, "BUDGET", 500_000)
    training = moving.moving_training("run", files, sides=(SIZE, SIZE))
    assert training is not None
    assert len(training.webp) <= 500_000
    with PIL.Image.open(io.BytesIO(training.webp)) as picture:
        assert 2 < picture.n_frames <= 60  # type: ignore[attr-defined]
    corner = 4 * (SIZE + GRID_PADDING) + GRID_PADDING
    with PIL.Image.open(io.BytesIO(training.still)) as still:
        assert still.width == corner * -(-256 // corner), "the first images, as the slider shows"
