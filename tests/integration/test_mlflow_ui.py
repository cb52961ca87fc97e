"""MLflow's UI in a browser, as `dcgan ui` starts it: what a user of two tracked runs sees.

The screenshots land in `test-artifacts/`, or in the folder that SCREENSHOTS names.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from typer.testing import CliRunner

from dcgan.cli import app
from tests.support import REPOSITORY
from tests.support.dcgan_ui import dcgan_ui
from tracking.backends import local, mlflow
from tracking.events import Fields, Metrics
from tracking.run_files import image_files
from tracking.testing.sample_run import CREATED
from tracking.tracker import Run

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
OWN_PAGE = "#/experiments/1?workflowType=machine_learning"
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
    track_sweep(folder)
    return folder


def track_sweep(store: Path) -> None:
    """Two seeds of two arms, in an experiment of their own: no training is needed to draw them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "sweep")
        for name, level in {"low-0": 1.0, "low-1": 3.0, "high-0": 5.0, "high-1": 7.0}.items():
            tracker = mlflow.open_tracker(Run(name, name, CREATED), store)
            sweep = {"id": "rates-1", "name": "rates", "arm": name[:-2]}
            tracker.write(Fields({f"sys/sweep/{key}": text for key, text in sweep.items()}))
            tracker.write(Metrics([1, 2], [CREATED, CREATED + 1], {LOSS: [level, level + 10]}))
            tracker.close("finished")


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


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """One for all pages, since a new one would fetch and compile MLflow's scripts once more."""
    profile = browser.new_context(viewport={"width": 1440, "height": 900})
    # On its first visit MLflow's assistant would take a quarter of the window.
    profile.add_init_script(
        "localStorage.clear();"
        "localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true';"
        "localStorage['mlflow.assistant.panelOpen_v1'] = 'false'"
    )
    yield profile
    profile.close()


@pytest.fixture
def tab(profile: BrowserContext, requests: list[str]) -> Iterator[Page]:
    """An empty page that knows of no earlier one, in which MLflow's assistant is closed."""
    page = profile.new_page()
    expect.set_options(timeout=90_000)
    page.on("request", lambda request: requests.append(request.url))
    yield page
    page.close()


@pytest.fixture
def comparison(tab: Page, address: str) -> Page:
    """The printed address."""
    tab.goto(address)
    expect(tab.get_by_test_id("saved-views-trigger")).to_have_text("DCGAN: compare")
    return tab


@pytest.fixture
def page(tab: Page, address: str) -> Page:
    """MLflow's own page of the same runs."""
    tab.goto(urlsplit(address)._replace(fragment="").geturl() + OWN_PAGE)
    expect(tab.get_by_role("link", name="fast", exact=True)).to_be_visible()
    return tab


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Charts and menus move into place: those of style sheets at once, others only if asked for.
    if "SCREENSHOTS" in os.environ:
        page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


def open_charts(page: Page) -> None:
    page.locator("label", has=page.locator("input[value=CHART]")).click()


def losses_of(store: Path, path: str = LOSS) -> dict[str, list[float]]:
    """What the journal holds of each run, by the run's name."""
    runs = local.load_runs(store)
    return {
        runs.loc[run, "sys/name"]: local.load_steps(store, run)[path].dropna().tolist()
        for run in runs.index
    }


def drawn_curves(chart: Locator) -> list[tuple[str, list[float], list[float]]]:
    """The name, the steps and the values of each curve that a chart of Plotly draws."""
    plot = chart.locator(".js-plotly-plot")
    expect(plot.locator(".scatterlayer path.js-line").first).to_be_visible()
    curves: list[tuple[str, list[float], list[float]]] = plot.evaluate(
        "plot => plot.data.map(curve => [curve.name, [...curve.x], [...curve.y]])"
    )
    return curves


def drawn_losses(chart: Locator) -> dict[str, list[float]]:
    """What a chart draws unsmoothed, by the run's name."""
    curves = drawn_curves(chart)
    for name, steps, _ in curves:
        assert steps == list(range(1, STEPS + 1)), name
    # Each run has a curve, and once more the same one smoothed, which by default it is not.
    return {name: losses for name, _, losses in curves}


def pixels_of(picture: Locator) -> npt.NDArray[np.uint8]:
    """The pixels of a picture as the browser has decoded them."""
    data = picture.evaluate(
        """async picture => {
            await picture.decode();
            const canvas = document.createElement("canvas");
            canvas.width = picture.naturalWidth;
            canvas.height = picture.naturalHeight;
            canvas.getContext("2d").drawImage(picture, 0, 0);
            return canvas.toDataURL("image/png");
        }"""
    )
    with PIL.Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as decoded:
        return np.asarray(decoded.convert("L"))


def show_pictures_without_parameters(page: Page, chart: Locator) -> None:
    """As a user does on MLflow's own page: in the card the parameters take all the room."""
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


def test_the_printed_address_opens_on_both_losses_of_both_runs(comparison: Page, store: Path):
    for title, path in {"Loss of G": LOSS, "Loss of D": "training/batch/Dloss"}.items():
        chart = comparison.get_by_test_id(CHARTS).filter(has_text=title)
        expect(chart.get_by_text(title, exact=True)).to_be_in_viewport()
        curves = [losses for _, _, losses in drawn_curves(chart)]
        for run, losses in losses_of(store, path).items():
            assert losses in curves, f"{title} of {run}"
        assert len(curves) == 2 * len(RATES), "each curve and its average"
    screenshot(comparison, "mlflow-compare")


def test_the_comparison_shows_the_grids_side_by_side_without_parameters(
    comparison: Page, store: Path
):
    card = comparison.get_by_test_id(CHARTS).filter(has_text=FIXED_NOISE)
    card.scroll_into_view_if_needed()
    expect(card).not_to_contain_text("config/")
    pictures = card.get_by_role("img").and_(card.locator("[src*='fixed_noise']"))
    expect(pictures).to_have_count(len(RATES))
    boxes = [picture.bounding_box() for picture in pictures.all()]
    assert all(box and box["width"] > 60 for box in boxes)
    assert len({box["y"] for box in boxes if box}) == 1, "side by side"
    for picture, run in zip(pictures.all(), ("slow", "fast"), strict=True):
        expect(picture).to_be_in_viewport(ratio=1)
        assert f"step%2B{STEPS}%2B" in str(picture.get_attribute("src")), "the last grid"
        picture.click()
        whole = comparison.locator("img.rc-image-preview-img:visible")
        assert (pixels_of(whole) == journal_grid(store, run)).all()
        # Escape would be lost while the picture still grows.
        comparison.locator(".rc-image-preview-operations-operation:visible").first.click()
        expect(whole).to_have_count(0)
    screenshot(comparison, "mlflow-compare-grids")


def journal_grid(store: Path, name: str) -> npt.NDArray[np.uint8]:
    """The last grid of the run of that name, from its journal."""
    [run] = [run for run, row in local.load_runs(store).iterrows() if row["sys/name"] == name]
    grids = image_files(store / str(run), FIXED_NOISE)
    with PIL.Image.open(grids[max(grids)]) as grid:
        return np.asarray(grid.convert("L"))


def test_the_comparison_lists_only_the_parameters_that_differ(comparison: Page):
    card = comparison.get_by_test_id(CHARTS).filter(has_text="Show differences only")
    comparison.get_by_text("Parameters", exact=True).scroll_into_view_if_needed()
    expect(card.get_by_text("config/optimizer/lr")).to_be_visible()
    expect(card).to_contain_text("0.0002")
    expect(card.get_by_text("config/training/batch_size")).to_have_count(0)
    screenshot(comparison, "mlflow-compare-parameters")


def test_the_view_of_runs_has_its_columns(tab: Page, address: str):
    tab.goto(address.replace("dcgan-compare", "dcgan-runs").replace("Mode=CHART", "Mode=TABLE"))
    for heading in ("sys/status", "sys/recipe", "config/optimizer/lr", "training/epoch/Gloss"):
        header = tab.locator(f"[role=columnheader][col-id*='`{heading}`']")
        expect(header).to_have_text(heading)
    cells = tab.locator("[role=gridcell][col-id='params.`config/optimizer/lr`']")
    expect(cells).to_have_text(["0.001", "0.0002"])
    expect(tab.locator("[role=columnheader][col-id*=Source]")).to_have_count(0)
    screenshot(tab, "mlflow-view-of-runs")


def test_the_view_of_a_sweep_draws_the_means_of_its_arms(tab: Page, address: str):
    tab.goto(
        address.replace("dcgan-compare", "dcgan-sweep").replace("experiments/1", "experiments/2")
    )
    chart = tab.get_by_test_id(CHARTS).filter(has_text="Loss of G")
    curves = [losses for _, _, losses in drawn_curves(chart)]
    assert [2.0, 12.0] in curves
    assert [6.0, 16.0] in curves
    assert [1.0, 11.0] not in curves
    screenshot(tab, "mlflow-sweep")


def test_the_comparison_of_a_sweep_draws_each_of_its_runs_by_arm(tab: Page, address: str):
    tab.goto(address.replace("experiments/1", "experiments/2"))
    chart = tab.get_by_test_id(CHARTS).filter(has_text="Loss of G")
    curves = [losses for _, _, losses in drawn_curves(chart)]
    for level in (1.0, 3.0, 5.0, 7.0):
        assert [level, level + 10] in curves
    colours = chart.locator(".js-plotly-plot").evaluate(
        "plot => plot.data.map(curve => [curve.name.slice(0, -2), curve.marker.color.slice(0, 7)])"
    )
    arms = set(map(tuple, colours))
    assert {arm for arm, _ in arms} == {"low", "high"}
    assert len(arms) == len({colour for _, colour in arms}) == 2
    screenshot(tab, "mlflow-compare-sweep")


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
