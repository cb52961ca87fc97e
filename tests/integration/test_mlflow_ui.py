"""MLflow's UI in a browser, as `dcgan ui` starts it: what a user of two tracked runs sees.

The screenshots land in `test-artifacts/`, or in the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support import REPOSITORY
from tests.support.dcgan_ui import dcgan_ui
from tracking.backends import local

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", REPOSITORY / "test-artifacts"))
RATES = {"slow": "0.0002", "fast": "0.001"}
SETTINGS = (
    "network.generator_features=4",
    "network.discriminator_features=4",
    "images.every_steps=19",
    "images.count=16",
)
STEPS = 57
LOSS = "training/batch/Gloss"
FIXED_NOISE = "images/fixed_noise"
CHARTS = "experiment-view-compare-runs-card"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What the browser itself would look up goes nowhere; the address of the UI is a number.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def chromium() -> str:
    return shutil.which("chromium") or pytest.skip("Chromium is not installed (apt: chromium)")


@pytest.fixture(scope="module")
def store(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs at two learning rates."""
    folder = tmp_path_factory.mktemp("ui") / "runs"
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    for name, rate in RATES.items():
        result = CliRunner().invoke(
            app,
            ["train", "--epochs", "1", *settings, "--lr", rate, "--name", name,
             "--tracker", "mlflow", "--store", str(folder)],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    with dcgan_ui(store) as interface:
        yield interface.address


@pytest.fixture(scope="module")
def requests() -> list[str]:
    """All that the pages have asked for."""
    return []


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str, requests: list[str]) -> Iterator[Page]:
    """The printed address, opened with a new profile."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    expect.set_options(timeout=90_000)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    expect(page.get_by_role("link", name="fast", exact=True)).to_be_visible()
    # The assistant takes a quarter of the window.
    page.get_by_role("button", name="Close").last.click()
    yield page
    page.close()


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Charts and menus move into place.
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def open_charts(page: Page) -> None:
    page.locator("label", has=page.locator("input[value=CHART]")).click()


def losses_of(store: Path) -> dict[str, list[float]]:
    """What the journal holds of each run, by the run's name."""
    runs = local.load_runs(store)
    return {
        runs.loc[run, "sys/name"]: local.load_steps(store, run)[LOSS].dropna().tolist()
        for run in runs.index
    }


def drawn_losses(chart: Locator) -> dict[str, list[float]]:
    """What a chart of Plotly draws, by the run's name."""
    plot = chart.locator(".js-plotly-plot")
    expect(plot.locator(".scatterlayer path.js-line").first).to_be_visible()
    curves = plot.evaluate(
        "plot => plot.data.map(curve => [curve.name, [...curve.x], [...curve.y]])"
    )
    for name, steps, _ in curves:
        assert steps == list(range(1, STEPS + 1)), name
    # Each run has a curve, and once more the same one smoothed, which by default it is not.
    return {name: losses for name, _, losses in curves}


def show_pictures_without_parameters(page: Page, chart: Locator) -> None:
    """As the README says: in the card the parameters take all the room."""
    chart.get_by_test_id(f"{CHARTS}-menu").click()
    page.get_by_role("menuitem", name="Configure").click()
    page.get_by_role("dialog").get_by_role("switch").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def assert_series_by_step(page: Page, chart: Locator, runs: int, name: str) -> None:
    """The slider goes from step to step, and the pictures with it."""
    chart.get_by_role("button").first.click()  # the whole window
    window = page.get_by_role("dialog")
    slider, number = window.get_by_role("slider"), window.get_by_role("spinbutton")
    assert slider.get_attribute("aria-valuemin") == "0"
    assert slider.get_attribute("aria-valuemax") == str(STEPS)
    for step in (0, 19, 38, STEPS):
        number.fill(str(step))
        number.press("Tab")
        expect(slider).to_have_attribute("aria-valuenow", str(step))
        shown = window.locator(f"img[src*='fixed_noise%2Bstep%2B{step}%2B']")
        expect(shown).to_have_count(runs)
        for picture in shown.all():
            expect(picture).to_be_visible()
            picture.evaluate("picture => picture.decode()")
            assert picture.evaluate("picture => picture.naturalWidth") > 100
    screenshot(page, name)
    window.get_by_role("button", name="Close").click()


def test_the_run_table_shows_the_parameters(page: Page):
    page.get_by_role("button", name="Columns").click()
    page.get_by_placeholder("Search columns").fill("config/optimizer/lr")
    page.get_by_text("config/optimizer/lr", exact=True).click()
    page.keyboard.press("Escape")

    column = "[col-id='params.`config/optimizer/lr`']"
    expect(page.locator(f"[role=columnheader]{column}")).to_have_text("config/optimizer/lr")
    cells = page.locator(f"[role=gridcell]{column}")
    expect(cells).to_have_text(["0.001", "0.0002"])  # the newest run first
    names = page.locator("[role=gridcell][col-id='attributes.`Run Name`'] a")
    expect(names).to_have_text(["fast", "slow"])
    screenshot(page, "mlflow-runs")


def test_a_runs_page_lists_its_parameters(page: Page):
    page.get_by_role("link", name="fast", exact=True).click()
    page.get_by_placeholder("Search parameters").fill("optimizer")
    row = page.get_by_role("row").filter(has_text="config/optimizer/lr")
    expect(row.get_by_role("cell")).to_have_text(["config/optimizer/lr", "0.001"])
    row.scroll_into_view_if_needed()
    screenshot(page, "mlflow-run")


def test_the_comparison_page_draws_the_losses_of_both_runs(page: Page, store: Path):
    page.get_by_label("Select all runs").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()
    # The page moves as its plots load: a click may fall beside the link, a key does not.
    page.get_by_role("link", name=LOSS).press("Enter")
    chart = page.get_by_test_id(CHARTS).filter(has_text=LOSS)
    assert drawn_losses(chart) == losses_of(store)
    screenshot(page, "mlflow-comparison")


def test_the_charts_draw_the_losses_of_both_runs(page: Page, store: Path):
    open_charts(page)
    section = page.get_by_test_id(f"{CHARTS.removesuffix('card')}section-header").first
    section.get_by_text("images").click()
    chart = page.get_by_test_id(CHARTS).filter(has_text=LOSS)
    chart.scroll_into_view_if_needed()
    assert drawn_losses(chart) == losses_of(store)
    screenshot(page, "mlflow-charts")


def test_the_charts_show_the_fixed_noise_of_both_runs_by_step(page: Page):
    open_charts(page)
    chart = page.get_by_test_id(CHARTS).filter(has_text=FIXED_NOISE)
    show_pictures_without_parameters(page, chart)
    assert_series_by_step(page, chart, len(RATES), "mlflow-fixed-noise-of-both")


def test_a_runs_page_shows_its_fixed_noise_by_step(page: Page):
    page.get_by_role("link", name="fast", exact=True).click()
    page.get_by_role("tab", name="Model metrics").click()
    chart = page.get_by_test_id(CHARTS).filter(has_text=FIXED_NOISE)
    show_pictures_without_parameters(page, chart)
    assert_series_by_step(page, chart, 1, "mlflow-fixed-noise")


def test_no_page_asked_for_anything_from_elsewhere(requests: list[str]):
    if not requests:
        pytest.skip("no page was opened")
    hosts = {urlsplit(request).hostname for request in requests}
    assert hosts <= {"127.0.0.1", None}  # None: data and blobs of the page itself
