"""Reports on runs: what they say, in each form, and that nothing in a run can steer them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
import pypdf
import pytest
from markdown_it import MarkdownIt

from analysis import load
from analysis.caveats import NO_QUALITY
from analysis.comparison.arms import ComparisonError
from analysis.comparison.failures import RULE
from analysis.comparison.measures import Measure
from analysis.comparison.tables import Table
from analysis.plots.figure_file import FigureFile
from analysis.plots.parallel_coordinates import parallel_coordinates
from analysis.report import compose, figure_sections, format_of, save_report
from analysis.report.content import Facts, Figures, Grids, Prose, Report, Section
from dcgan.run_folder.amend import amend
from tests.support.sample_journals import STEPS, write_journal
from tracking.errors import UserError
from tracking.events import Event, Fields, Metrics
from tracking.metric_directions import direction_of
from tracking.wording import ANECDOTE

HOSTILE = "<script>alert(1)</script>|`x`\x1b[31m *b* [a](b)"


def two_arms(store: Path, seeds: int = 6) -> None:
    for seed in range(seeds):
        name = f"{seed:06d}"
        write_journal(store, f"with-{name}", seed=seed, losses=(1.5, 1.0))
        write_journal(
            store,
            f"without-{name}",
            seed=seed,
            losses=(2.0 + seed / 100, 1.0),
            created=2_000,
            init__scheme="default",
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    two_arms(folder)
    return folder


@pytest.fixture(scope="module")
def report(store: Path) -> Report:
    return compose(load(store), metrics=["Gloss"], command="dcgan report --by init.scheme")


def section(report: Report, title: str) -> Section:
    return next(each for each in report.sections if each.title == title)


def tables(part: Section) -> list[Table]:
    return [block for block in part.blocks if isinstance(block, Table)]


def said(part: Section) -> str:
    return " ".join(block.text for block in part.blocks if isinstance(block, Prose))


def test_it_asks_answers_and_shows_what_the_answer_rests_on(report: Report) -> None:
    assert report.question == "Does init.scheme change the outcome?"
    assert dict(report.setting.rows)["Seeds"] == "0 to 5"
    assert dict(report.setting.rows)["Data set"] == "digits, 100 images"
    answer = report.sections[0]
    assert answer.title == "Answer"
    assert answer.blocks[0] == Prose("A difference was shown in the final loss of G.", "lead")
    assert "over 6 pairs of seeds: the final loss of G is higher by 0.5" in said(answer)
    assert "Collapsed, diverged or failed: 0 of 6" in said(answer)
    assert "not how good the images are" in said(answer)
    assert RULE not in said(answer), "no run collapsed, diverged or failed"
    assert [picture.name for picture in report.pictures] == [
        "paired_slopes_Gloss",
        "loss_bands",
        "score_bands",
        "grids_by_step_and_arm",
    ]
    values, differences, endings = tables(section(report, "Numbers"))
    assert [row[1] for row in values.rows] == ["dcgan", "default"]
    assert differences.strong == {0}
    assert [row[1:5] for row in endings.rows] == [("6", "0", "0", "0")] * 2
    (differing,) = tables(section(report, "Configuration"))
    assert differing.rows[0] == ("init.scheme", "dcgan (6 runs), default (6 runs)")
    assert len(tables(section(report, "Runs"))[0].rows) == 12


def test_the_interval_in_the_figure_is_that_in_the_table(store: Path, report: Report) -> None:
    differences = tables(section(report, "Numbers"))[1]
    ends, level = differences.rows[0][4].split(" (")
    assert level == "95.0%)"
    assert f"95% interval {ends}" in report.pictures[0].alt


def test_arms_with_a_number_are_drawn_against_it(tmp_path: Path) -> None:
    for place, rate in enumerate((1e-4, 2e-4, 1e-3)):
        for seed in range(2):
            write_journal(tmp_path, f"r{place}-{seed}", seed=seed, optimizer__lr=rate)
    report = compose(load(tmp_path), metrics=["Gloss"])
    assert report.pictures[0].name == "factor_intervals_Gloss"
    assert "No claim can be made" in said(report.sections[0])


def test_of_several_factors_all_are_seen_at_once(tmp_path: Path) -> None:
    for place, (rate, scheme) in enumerate(
        (rate, scheme) for rate in (1e-4, 1e-3) for scheme in ("dcgan", "default", "orthogonal")
    ):
        write_journal(tmp_path, f"r{place}", seed=0, optimizer__lr=rate, init__scheme=scheme)
    report = compose(load(tmp_path), by=["optimizer.lr", "init.scheme"], metrics=["Gloss", "D_x"])
    assert report.question == "Do optimizer.lr and init.scheme change the outcome?"
    names = [picture.name for picture in report.pictures]
    assert {"paired_slopes_Gloss", "paired_slopes_D_x"} <= set(names)
    assert not any("parallel" in name for name in names), "neither more nor less of it is better"
    assert "5 arms were compared with optimizer.lr=0.0001, init.scheme=dcgan." in said(
        report.sections[0]
    )


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    ("metric", "ranked"),
    [
        ("modes", "higher"),
        ("best_lenet_fid", "lower"),
        ("lenet_memorisation", None),
        ("ms_ssim", None),
    ],
)
def test_metrics_are_ranked_by_their_direction(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    ranked: str | None,
    stored: bool,
) -> None:
    for place, (rate, scheme) in enumerate(
        (rate, scheme) for rate in (1e-4, 1e-3) for scheme in ("dcgan", "default")
    ):
        folder = write_journal(
            tmp_path, f"r{place}", seed=0, optimizer__lr=rate, init__scheme=scheme
        )
        events: list[Event] = [Metrics([STEPS], [2_000], {f"evaluation/{metric}": [float(place)]})]
        if stored:
            path = f"sys/evaluation/better/{metric.removeprefix('best_')}"
            events.append(Fields({path: direction_of(metric)}))
        amend(folder, events)
    lower_is_better = []

    def spy(*arguments: Any, **options: Any) -> FigureFile:
        lower_is_better.append(options["lower_is_better"])
        return parallel_coordinates(*arguments, **options)

    monkeypatch.setattr(figure_sections, "parallel_coordinates", spy)
    report = compose(load(tmp_path), by=["optimizer.lr", "init.scheme"], metrics=[metric])
    names = [picture.name for picture in report.pictures]
    assert (f"parallel_coordinates_{metric}" in names) == (ranked is not None)
    assert lower_is_better == ([] if ranked is None else [ranked == "lower"])


def test_the_direction_that_a_run_stored_outlives_the_table() -> None:
    measure = Measure("lenet_sharpness", "evaluation/lenet_sharpness", "sharpness")
    table = pd.DataFrame({"sys/evaluation/better/lenet_sharpness": ["higher", None]})
    assert figure_sections._direction(measure, table) == "higher"
    assert figure_sections._direction(measure, pd.DataFrame()) is None


def test_figures_of_measures_that_have_whole_paths_are_files(store: Path, tmp_path: Path) -> None:
    paths = ("training/batch/Gloss", "training/epoch/Gloss")
    report = compose(load(store), metrics=paths)
    save_report(replace(report, sections=report.sections[:2]), tmp_path / "r.md", "md")
    for name in ("paired_slopes_training_batch_Gloss", "paired_slopes_training_epoch_Gloss"):
        assert (tmp_path / "r_files" / f"{name}.png").exists()
        assert f"](<r_files/{name}.png>)" in (tmp_path / "r.md").read_text()


def test_one_run_is_an_anecdote(store: Path) -> None:
    runs = load(store, where="name == 'with-000003'")
    report = compose(runs)
    assert report.question == "The run with-000003"
    amend(store / "with-000003", [Fields({"sys/name": "third seed"})])
    renamed = compose(load(store, where="name == 'third seed'"))
    assert renamed.question == "The run with-000003, third seed"
    first = report.sections[0].blocks[0]
    assert isinstance(first, Prose)
    assert (first.tone, first.text.startswith(ANECDOTE)) == ("note", True)
    captions = [picture.caption for picture in report.pictures]
    assert "anecdote" not in " ".join([*captions, *map(said, report.sections[1:])])
    assert [picture.name for picture in report.pictures] == [
        "loss",
        "scores",
        "grids_by_step_and_arm",
    ]
    assert not any(each.title in ("Answer", "Numbers") for each in report.sections)


def test_runs_without_arms_are_shown_and_not_compared(tmp_path: Path) -> None:
    for seed in range(3):
        write_journal(tmp_path, f"run-{seed}", seed=seed, images_alike=seed == 1)
    report = compose(load(tmp_path))
    assert "differ in nothing but the seed" in said(report.sections[0])
    assert "failed: 1 of 3 runs, 95% interval 6% to 79%." in said(report.sections[0])
    assert report.question == "3 runs of sample"
    with pytest.raises(ComparisonError, match="there is nothing to compare"):
        compose(load(tmp_path), by=["init.scheme"])


def test_runs_that_have_not_finished_are_shown_too(tmp_path: Path) -> None:
    write_journal(tmp_path, "a", seed=0, status="interrupted")
    write_journal(tmp_path, "b", seed=0, status="failed", init__scheme="default")
    report = compose(load(tmp_path))
    assert "There is no finished run to compare" in said(report.sections[0])
    (runs,) = tables(section(report, "Runs"))
    assert [row[2] for row in runs.rows] == ["interrupted", "failed"]
    assert RULE in said(section(report, "Runs"))


def test_synthetic_data_are_called_synthetic(tmp_path: Path) -> None:
    write_journal(tmp_path, "run", seed=0, dataset__path="dcgan.data.sky (synthetic)")
    report = compose(load(tmp_path))
    assert "SYNTHETIC" in dict(report.setting.rows)["Data set"]
    assert "SYNTHETIC" in said(section(report, "Data set"))


def test_a_list_without_values_is_called_so(tmp_path: Path) -> None:
    write_journal(tmp_path, "run", seed=0, dataset__classes=[])
    (card,) = section(compose(load(tmp_path)), "Data set").blocks
    assert isinstance(card, Facts)
    assert dict(card.rows)["Classes"] == "none"


def test_images_can_be_chosen_by_seed_and_step(report: Report) -> None:
    (grids,) = section(report, "Images").blocks
    assert isinstance(grids, Grids)
    assert grids.steps == (0, 40)
    assert [choice.name for choice in grids.choices] == [f"seed {seed}" for seed in range(5)]
    labels = [panel.label for panel in grids.choices[0].panels]
    assert labels == ["init.scheme=dcgan", "init.scheme=default"]
    assert grids.choices[3].panels[1].files[40].parts[-4] == "without-000003"
    assert grids.choices[0].real is not None


def test_a_seed_with_more_grids_than_the_others_shows_them_all(tmp_path: Path) -> None:
    for seed in range(3):
        for arm in ("dcgan", "default"):
            folder = write_journal(tmp_path, f"{arm}-{seed}", seed=seed, init__scheme=arm)
            if seed != 1:
                (folder / "images" / "fixed_noise" / "00000000.png").unlink()
    report = compose(load(tmp_path))
    grids = next(each for each in section(report, "Images").blocks if isinstance(each, Grids))
    assert grids.steps == (0, 40)
    assert [choice.name for choice in grids.choices] == ["seed 1", "seed 0", "seed 2"]
    assert [list(choice.panels[0].files) for choice in grids.choices] == [[0, 40], [40], [40]]


def test_a_single_step_has_no_slider(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, "run", seed=0)
    (folder / "images" / "fixed_noise" / "00000000.png").unlink()
    report = compose(load(tmp_path))
    grids = next(each for each in section(report, "Images").blocks if isinstance(each, Grids))
    assert grids.steps == (40,)
    assert grids.caption.startswith("Images from the same noise at step 40. ")
    assert grids.still_caption == f"{grids.caption} The run has seed 0."
    (file,) = save_report(report, tmp_path / "page.html", "html")
    assert 'type="range"' not in file.read_text(encoding="utf-8")


def test_a_page_needs_nothing_beside_it(report: Report, tmp_path: Path) -> None:
    (file,) = save_report(report, tmp_path / "new" / "page.html", "html")
    page = file.read_text(encoding="utf-8")
    assert "<h1>Does init.scheme change the outcome?</h1>" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(each.startswith(("data:", "#")) for each in sources)
    assert len(re.findall("<img ", page)) == len(re.findall(r'<img [^>]*alt="[^"]+"', page))
    assert "dcgan report --by init.scheme" in page


def test_markdown_has_its_figures_beside_it(report: Report, tmp_path: Path) -> None:
    file, *written = save_report(report, tmp_path / "my report.md", "md")
    rendered = MarkdownIt("commonmark").enable("table").render(file.read_text(encoding="utf-8"))
    sources = re.findall(r'<img src="([^"]*)" alt="[^"]+"', rendered)
    assert len(sources) == len(report.pictures)
    for source in sources:
        with PIL.Image.open(tmp_path / source.replace("%20", " ")) as picture:
            assert picture.format == "PNG"
    assert rendered.count("<table>") == 5
    assert {path.suffix for path in written} == {".png", ".svg", ".pdf", ".csv", ".txt"}
    assert {path.parent.name for path in written} == {"my report_files"}


def test_a_pdf_opens_and_says_the_same(report: Report, tmp_path: Path) -> None:
    (file,) = save_report(report, tmp_path / "paper.pdf", "pdf")
    document = pypdf.PdfReader(file)
    text = " ".join(" ".join(page.extract_text() for page in document.pages).split())
    assert len(document.pages) >= 4
    assert "Does init.scheme change the outcome?" in text
    assert "A difference was shown in the final loss of G." in text
    assert "dcgan report --by init.scheme" in text
    assert sum(len(page.images) for page in document.pages) == len(report.pictures)
    assert document.metadata
    assert document.metadata.title == report.question


def test_figures_come_with_their_numbers(report: Report, tmp_path: Path) -> None:
    _, *written = save_report(report, tmp_path / "page.html", "html", tmp_path / "figures")
    assert len(written) == 4 * len(report.pictures) + 1
    captions = (tmp_path / "figures" / "captions.txt").read_text(encoding="utf-8")
    assert NO_QUALITY in captions
    for picture, caption in report.captioned:
        assert f"{picture.name}: {caption}" in captions
    with (tmp_path / "figures" / "paired_slopes_Gloss.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    store = tmp_path_factory.mktemp("hostile")
    for seed in range(2):
        write_journal(store, f"a{seed}", seed=seed, init__scheme=HOSTILE)
        write_journal(
            store,
            f"b{seed}",
            seed=seed,
            init__scheme="x",
            dataset__name=HOSTILE,
            dataset__path="a name that is no text: \udcff",
        )
    return compose(load(store), by=["init.scheme"], anyway=True, command=HOSTILE)


@pytest.mark.parametrize("kind", ["html", "md", "pdf"])
def test_nothing_in_a_run_steers_its_report(
    hostile_report: Report, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"report.{kind}"
    save_report(hostile_report, file, format_of(file))
    if kind == "pdf":
        assert pypdf.PdfReader(io.BytesIO(file.read_bytes())).pages
        return
    text = file.read_text(encoding="utf-8")
    page = text if kind == "html" else MarkdownIt("commonmark").enable("table").render(text)
    assert "<script>alert" not in page
    assert "alert(1)" in page
    assert "\x1b" not in page
    if kind == "md":
        assert "<em>b</em>" not in page
        assert 'href="b"' not in page


def test_a_report_that_cannot_be_written_leaves_nothing(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        UserError,
        match=r"page.html cannot be written: .*file is not a folder.\nChoose another place with -o",
    ):
        save_report(report, tmp_path / "file" / "page.html", "html")
    with pytest.raises(UserError, match="is a folder"):
        save_report(report, tmp_path, "html")
    with pytest.raises(UserError, match=r"should end in .html, .md or .pdf"):
        format_of(Path("report.docx"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_runs_without_steps_or_images_can_be_reported(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, "run", seed=0)
    (folder / "metrics.jsonl").write_text("")
    (folder / "last.json").unlink()
    for file in folder.glob("images/*/*.png"):
        file.unlink()
    report = compose(load(tmp_path))
    assert not any(isinstance(block, Grids) for each in report.sections for block in each.blocks)
    assert any(isinstance(block, Figures) for each in report.sections for block in each.blocks)
    save_report(report, tmp_path / "page.html", "html")


def test_real_images_of_one_of_several_data_sets_are_named(tmp_path: Path) -> None:
    for data in ("digits", "mnist"):
        write_journal(tmp_path, data, seed=0, dataset__name=data, dataset__fingerprint=data)
    report = compose(load(tmp_path), by=["dataset.name"], metrics=["Gloss"])
    (grids,) = section(report, "Images").blocks
    assert isinstance(grids, Grids)
    real = grids.choices[0].real
    assert real is not None
    assert real.label == "real images of dataset.name=digits"
