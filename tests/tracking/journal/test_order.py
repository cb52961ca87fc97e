"""Values that are measured later at earlier steps."""

from __future__ import annotations

from pathlib import Path

from tests.support.journal_events import CREATED, GLOSS, RUN, block
from tracking.backends.local import last_values, open_tracker, read_events, read_steps
from tracking.backends.local_order import order_steps
from tracking.events import Metrics


def test_lines_are_in_the_order_of_steps_and_the_last_values_are_those_of_the_end(
    tmp_path: Path,
) -> None:
    journal = open_tracker(RUN, tmp_path)
    journal.write(block(1, 6))
    journal.write(Metrics([6], [CREATED], {"evaluation/fid": [6.0]}))
    for step, value in ((3, float("nan")), (5, 5.0), (3, 3.0)):
        journal.write(Metrics([step], [CREATED + 99], {"evaluation/fid": [value], "late": [value]}))
    journal.close("finished")

    order_steps(journal.folder)

    steps = read_steps(journal.folder)
    assert steps["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert steps["evaluation/fid"].dropna().tolist() == [3, 5, 6], "the last of a step counts"
    assert steps[GLOSS].notna().all()
    last = last_values(journal.folder)
    assert (last["step"], last["evaluation/fid"], last["late"]) == (6, 6, 5)
    blocks = [event for event in read_events(journal.folder) if isinstance(event, Metrics)]
    order = [step for event in blocks for step in event.steps]
    assert order == sorted(order), "so that each store gets every series in order"
