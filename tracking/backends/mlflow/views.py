"""The three saved views of an experiment in MLflow's UI.

A view's state is what the UI of MLflow 3.17 stores when a user saves a view: the columns of the
table of runs, and the charts in each section of the chart page. The UI fills in what a state
lacks, and adds a section for each metric that no chart shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tracking.backends.mlflow.layout import DIVERGED_TAG
from tracking.backends.mlflow.names import to_mlflow
from tracking.chosen_keys import is_chosen
from tracking.evaluation_paths import is_best_score, metric_of
from tracking.events import BATCH, CONFIG, EPOCH, FIXED_NOISE, IMAGES, SWEEP, USAGE
from tracking.metric_directions import METRIC_DIRECTIONS, direction_of, feature_space_of

ViewName: TypeAlias = Literal["compare", "runs", "sweep"]

State: TypeAlias = dict[str, Any]
"""The state of a page of the UI, as JSON."""

_SMOOTHNESS = 60
"""The UI's smoothing, in percent; the raw values stay visible in a pale colour."""

_MAX_DIFFERENCES = 12
"""The maximum number of columns for keys that differ, to keep the table readable."""

_UNFOLDED: State = {
    "searchFilter": "tags.`sys/id` LIKE '%'",
    "orderByKey": "attributes.`run_name`",
    "orderByAsc": True,
}
"""A filter that lists the runs of sweeps individually. Without it, the UI folds them below their
parent, which has no metrics and no `sys/id`, and draws no charts of folded runs."""

_ALWAYS_OF_INTEREST = ("optimizer/lr", "training/batch_size", "seed")
"""The keys that are columns if none differs, as with a single run."""

_SHORT = {
    "fid": "FID",
    "kid": "KID",
    "ms_ssim": "MS-SSIM",
    "lenet": "LeNet",
    "sliced_wasserstein": "Sliced Wasserstein",
}
"""The spelling of abbreviations and of names of people; other names are words."""


@dataclass(frozen=True)
class Contents:
    """What the views need to know about the runs of an experiment.

    Attributes:
        differing: The paths of the configuration's keys that users chose and that differ.
        metrics: The paths of all metrics.
        grid_step: The step of the grids that are shown first: the last one that most runs have.
        has_diverged: Whether any run's losses were not finite in the end.
        sections: The sections in which the UI puts the charts of all metrics.
        sweeps: The number of sweeps.
    """

    differing: Sequence[str] = ()
    metrics: frozenset[str] = frozenset()
    grid_step: int = 0
    has_diverged: bool = False
    sections: frozenset[str] = frozenset()
    sweeps: int = 0


@dataclass(frozen=True)
class View:
    """One saved view.

    Attributes:
        title: The title in the UI's list.
        mode: The page of the UI: the table of runs, or the charts beside it.
        state: The state of that page.
    """

    title: str
    mode: Literal["TABLE", "CHART"]
    state: State


def saved_views(contents: Contents) -> dict[ViewName, View]:
    """The three views for an experiment with these contents."""
    return {
        "compare": View("DCGAN: compare", "CHART", _compare(contents)),
        "runs": View("DCGAN: runs", "TABLE", _page(contents)),
        "sweep": View("DCGAN: sweep", "CHART", _sweep(contents)),
    }


def _compare(contents: Contents) -> State:
    """Losses, grids, D's scores and distances of some runs, and the keys that differ."""
    grids = {
        "uuid": FIXED_NOISE,
        "type": "IMAGE",
        "metricSectionId": "grids",
        "imageKeys": [to_mlflow(FIXED_NOISE, of_images=True)],
        "step": contents.grid_step,
        "showRunParams": False,
    }
    difference = {
        "uuid": "difference",
        "type": "DIFFERENCE",
        "metricSectionId": "parameters",
        "chartName": "Parameters that differ",
        "compareGroups": ["Parameters"],
        "showChangeFromBaseline": True,
        "showDifferencesOnly": True,
    }
    sections = [
        _section("losses", "Losses", columns=2, height=300),
        _section("grids", "Images of fixed noise", columns=1, height=440),
        _section("scores", "Scores of D", columns=2, height=300),
        *_quality_sections(contents),
        _section("parameters", "Parameters", columns=1, height=400),
    ]
    charts = [*_curves(contents), grids, difference]
    return _page(contents) | _chart_page(contents, sections, charts)


def _sweep(contents: Contents) -> State:
    """The same curves as means over the seeds of each arm of a sweep."""
    sections = [
        _section("losses", "Losses, mean of seeds", columns=2, height=300),
        _section("scores", "Scores of D", columns=2, height=300),
        *_quality_sections(contents),
    ]
    keys = ("arm",) if contents.sweeps <= 1 else ("id", "arm")
    groups = [{"mode": "tag", "groupByData": f"{SWEEP}/{key}"} for key in keys]
    return {
        **_page(contents),
        **_chart_page(contents, sections, _curves(contents)),
        "groupBy": {"aggregateFunction": "average", "groupByKeys": groups},
        "useGroupedValuesInCharts": True,
        "searchFilter": f"tags.`{SWEEP}/arm` LIKE '%'",
    }


def _page(contents: Contents) -> State:
    """The table of runs, which stands in narrow form beside the charts too."""
    keys = contents.differing[:_MAX_DIFFERENCES] or [
        f"{CONFIG}/{key}" for key in _ALWAYS_OF_INTEREST
    ]
    best = [path for path in _ranked(contents.metrics) if is_best_score(path)]
    columns = [
        "attributes.`Created`",
        "attributes.`Duration`",
        "tags.`sys/status`",
        *([f"tags.`{DIVERGED_TAG}`"] if contents.has_diverged else []),
        "tags.`sys/recipe`",
        *(f"params.`{to_mlflow(path)}`" for path in keys),
        *(f"metrics.`{to_mlflow(f'{EPOCH}/{loss}')}`" for loss in ("Gloss", "Dloss")),
        *(f"metrics.`{to_mlflow(path)}`" for path in best),
    ]
    return {
        "selectedColumns": columns,
        "columnOrder": ["attributes.`Run Name`", *columns],
        "columnWidths": {column: _width(column) for column in columns if column[0] in "pmt"},
        **(_UNFOLDED if contents.sweeps else {}),
    }


def _width(column: str) -> int:
    """The width in pixels that shows a column's whole heading."""
    heading = column.partition("`")[2]
    return max(100, 7 * len(heading) + 28)


def _chart_page(contents: Contents, sections: Sequence[State], charts: Sequence[State]) -> State:
    # Sections that the UI would add on its own come last, closed.
    others = sorted({BATCH, EPOCH, IMAGES, "System metrics"} | contents.sections)
    closed = [_section(name, name, is_open=False) for name in others]
    return {
        "compareRunSections": [*sections, *closed],
        "compareRunCharts": list(charts),
        "isAccordionReordered": True,  # or the UI would sort the sections by their names
        "hideEmptyCharts": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": _SMOOTHNESS,
            "selectedXAxisMetricKey": "",
        },
    }


def _section(
    identifier: str, title: str, *, columns: int = 3, height: int = 360, is_open: bool = True
) -> State:
    return {
        "uuid": identifier,
        "name": title,
        "display": is_open,
        "columns": columns,
        "cardHeight": height,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _curves(contents: Contents) -> list[State]:
    scores = {"D_x": "D(x)", "D_G_z1": "D(G(z))"}
    losses = {"Gloss": "Loss of G", "Dloss": "Loss of D"}
    return [
        *(_curve(f"{BATCH}/{name}", title, "losses") for name, title in losses.items()),
        *(_curve(f"{BATCH}/{name}", title, "scores") for name, title in scores.items()),
        *(_curve(path, title, "quality") for path, title in _quality(contents).items()),
    ]


def _curve(path: str, title: str, section: str) -> State:
    return {
        "uuid": path,
        "type": "LINE",
        "metricSectionId": section,
        "metricKey": to_mlflow(path),
        "displayName": title,
        # Without this the UI prints the metric's path as the title, and cuts it.
        "nodeLevelSystemMetricConfiguration": {"metric": to_mlflow(path), "type": "node"},
        # There are too few evaluations to smooth.
        "useGlobalLineSmoothing": section != "quality",
        "useGlobalXaxisKey": True,
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
    }


def _quality_sections(contents: Contents) -> list[State]:
    if not _quality(contents):
        return []
    return [_section("quality", "Quality, better ↑ or ↓", columns=3, height=300)]


def _quality(contents: Contents) -> dict[str, str]:
    """The titles of the rankable quality metrics, the most important first."""
    paths = [path for path in _ranked(contents.metrics) if not is_best_score(path)]
    spaces = {feature_space_of(metric_of(path)) for path in paths} - {""}
    return {path: _quality_title(path, with_space=len(spaces) > 1) for path in paths}


def _ranked(metrics: frozenset[str]) -> list[str]:
    order = list(METRIC_DIRECTIONS)
    paths = [path for path in metrics if direction_of(path) in ("lower", "higher")]
    return sorted(paths, key=lambda path: (order.index(_base_name(path)), path))


def _base_name(path: str) -> str:
    name = metric_of(path)
    space = feature_space_of(name)
    return name.removeprefix(f"{space}_") if space else name


def _quality_title(path: str, *, with_space: bool) -> str:
    """Short, because the UI cuts titles: `FID ↓`; `with_space`, `FID ↓ LeNet`."""
    base, space = _base_name(path), feature_space_of(metric_of(path))
    words = _SHORT.get(base, base.replace("_", " ").capitalize())
    arrow = "↓" if direction_of(path) == "lower" else "↑"
    named = _SHORT.get(space, space.partition("_")[0].capitalize()) if with_space else ""
    return f"{words} {arrow} {named}".rstrip()


def section_of(name: str) -> str:
    """The section in which MLflow's UI puts the chart of a metric, by MLflow's name for it."""
    section = name.rpartition("/")[0]
    return {"": "Model metrics", USAGE: "System metrics"}.get(section, section)


def differing_keys(configurations: Sequence[Mapping[str, str]]) -> list[str]:
    """The paths of the keys that users chose and that differ between runs, in their order.

    Args:
        configurations: For each run the texts of its fields below `config/`.
    """
    paths = sorted({path for configuration in configurations for path in configuration})
    return [
        path
        for path in paths
        if is_chosen(path)
        and len({configuration.get(path) for configuration in configurations}) > 1
    ]
