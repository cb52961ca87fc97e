"""The table of scores in the report on a single run."""

from __future__ import annotations

from pathlib import Path

from analysis import load
from analysis.comparison.tables import Table
from analysis.report.compose import compose
from analysis.report.content import Prose
from tests.support.drawn_run import random_values, write_run
from tracking.backends.local import open_tracker, read_run
from tracking.events import Fields, Metrics


def test_the_newest_score_by_each_metric_stands_beside_that_of_real_images(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", random_values(250))
    assert "Scores" not in {section.title for section in compose(load(tmp_path)).sections}
    journal = open_tracker(read_run(folder), tmp_path)
    values = {"fid": [90.0, 40.0], "best_fid": [90.0, 40.0], "recall": [0.2, float("nan")]}
    metrics = {f"evaluation/{name}": series for name, series in values.items()}
    journal.write(Metrics([100, 250], [1, 2], metrics))
    fields = {"floor/fid": 3.5, "spread/fid": 0.25, "best_step": 250, "samples": 500}
    journal.write(Fields({f"sys/evaluation/{name}": value for name, value in fields.items()}))
    journal.close("finished")

    [section] = [part for part in compose(load(tmp_path)).sections if part.title == "Scores"]
    [table] = [block for block in section.blocks if isinstance(block, Table)]
    assert table.columns == ("metric", "better", "step", "value", "spread", "real images")
    assert table.rows == (
        ("fid", "lower", "250", "40", "0.25", "3.5"),
        ("recall", "higher", "100", "0.2", "\N{EN DASH}", "\N{EN DASH}"),
    )
    said = " ".join(block.text for block in section.blocks if isinstance(block, Prose))
    assert "The best checkpoint is that of step 250." in said
    assert "500 fakes" in said
