"""The page that `dcgan report` writes, in a browser: its slider, its width, what it asks for.

The screenshots land in `test-artifacts/`, or in the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support import REPOSITORY
from tests.support.sample_journals import write_journal

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", REPOSITORY / "test-artifacts"))
WIDTHS = (380, 800, 1600)
ARMS = ("init.scheme=dcgan", "init.scheme=default")


@pytest.fixture(scope="module")
def chromium() -> str:
    return shutil.which("chromium") or pytest.skip("Chromium is not installed (apt: chromium)")


@pytest.fixture(scope="module")
def file(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two arms of six seeds with images at steps 0, 20 and 40."""
    folder = tmp_path_factory.mktemp("report")
    store = folder / "runs"
    for seed in range(6):
        for scheme in ("dcgan", "default"):
            run = write_journal(
                store,
                f"{scheme}-{seed:06d}",
                seed=seed,
                losses=(1.5 if scheme == "dcgan" else 2.0, 1.0),
                created=1_000 if scheme == "dcgan" else 2_000,
                init__scheme=scheme,
            )
            grids = run / "images" / "fixed_noise"
            shutil.copy(grids / "00000040.png", grids / "00000020.png")
    page = folder / "report.html"
    result = CliRunner().invoke(app, ["report", "--store", str(store), "-o", str(page)])
    assert result.exit_code == 0, result.output
    return page


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@dataclass(frozen=True)
class Visit:
    """A page with all that it asked for and complained of. requests: without data: addresses."""

    page: Page
    requests: list[str]
    complaints: list[str]


@pytest.fixture
def visit(browser: Browser, file: Path) -> Iterator[Visit]:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    yield Visit(page, requests, complaints)
    page.close()


def shown(page: Page, arm: str) -> Locator:
    """The grid of an arm that can be seen."""
    return page.get_by_role("img", name=f"Images by {arm}").filter(visible=True)


def test_the_slider_moves_the_step_by_mouse_and_by_keyboard(visit: Visit) -> None:
    page = visit.page
    slider = page.get_by_role("slider", name="Step")
    for arm in ARMS:
        expect(shown(page, arm)).to_have_count(1)
        expect(shown(page, arm)).to_have_attribute("alt", f"Images by {arm}, seed 0, step 40.")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)
    expect(slider).to_have_attribute("aria-valuetext", "step 0")
    for arm in ARMS:
        expect(shown(page, arm)).to_have_attribute("alt", f"Images by {arm}, seed 0, step 0.")
    slider.press("ArrowRight")
    expect(page.get_by_role("status")).to_have_text("20 of 40")
    expect(shown(page, ARMS[1])).to_have_attribute("alt", f"Images by {ARMS[1]}, seed 0, step 20.")
    slider.press("End")
    expect(shown(page, ARMS[0])).to_have_attribute("alt", f"Images by {ARMS[0]}, seed 0, step 40.")
    page.get_by_label("Runs with").select_option("seed 3")
    for arm in ARMS:
        expect(shown(page, arm)).to_have_count(1)
        expect(shown(page, arm)).to_have_attribute("alt", f"Images by {arm}, seed 3, step 40.")
    assert visit.complaints == []


def test_it_asks_for_nothing_and_complains_of_nothing(visit: Visit, file: Path) -> None:
    page = visit.page
    page.wait_for_load_state("networkidle")
    for summary in page.locator("summary").all():
        summary.click()
    assert [each for each in visit.requests if not each.startswith("data:")] == [file.as_uri()]
    assert visit.complaints == []


def test_every_picture_is_there_and_has_words(visit: Visit) -> None:
    pictures = visit.page.locator("img").evaluate_all(
        "images => images.map(image => [image.alt, image.naturalWidth])"
    )
    assert len(pictures) > 4 + 2 * 3 * 5
    assert all(alt.strip() and width > 0 for alt, width in pictures)


def test_headings_and_language_are_set(visit: Visit) -> None:
    page = visit.page
    assert page.locator("html").get_attribute("lang") == "en-GB"
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Does init.scheme change the outcome?"
    )
    titles = page.get_by_role("heading", level=2).all_inner_texts()
    assert titles[0] == "Answer"
    assert len(titles) == page.locator("nav a").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_but_tables_and_figures_scrolls_aside(
    browser: Browser, file: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(file.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    figures = page.locator(".sheet").evaluate_all(
        "all => all.map(each => [each.scrollWidth > each.clientWidth,"
        " getComputedStyle(each, '::before').content.includes('scrolls')])"
    )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{width}-{scheme}.png", full_page=True)
    page.close()
    assert wide <= width
    assert all(scrolls == says_so for scrolls, says_so in figures), "it is said where they scroll"
