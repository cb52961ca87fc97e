"""Values that are added to a run which has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.run_folder.amend import amend
from tests.support.sample_journals import STEPS, write_journal
from tracking.backends.local import last_values, load_steps, read_fields
from tracking.events import Fields, Metrics

FID = "evaluation/lenet_fid"


def test_values_of_any_step_are_in_the_order_of_steps_and_the_status_stays(tmp_path: Path):
    folder = write_journal(tmp_path, "digits-aaaaaa", seed=0)
    status = read_fields(folder)["sys/status"]
    amend(folder, [Metrics([STEPS], [9], {FID: [3.0]}), Fields({"sys/evaluation/samples": 64})])
    amend(folder, [Metrics([2], [8], {FID: [7.0]})])
    steps = load_steps(tmp_path, folder.name)
    assert list(steps["step"]) == sorted(steps["step"])
    assert dict(steps.set_index("step")[FID].dropna()) == {2: 7.0, STEPS: 3.0}
    assert last_values(folder)[FID] == 3.0
    assert read_fields(folder)["sys/status"] == status
    assert read_fields(folder)["sys/evaluation/samples"] == 64


@pytest.mark.filterwarnings("ignore::tracking.errors.StoreWarning")
@pytest.mark.parametrize("place", [0, 3])
def test_values_of_an_earlier_step_are_added_to_a_journal_with_a_damaged_line(
    tmp_path: Path, place: int
):
    folder = write_journal(tmp_path, "digits-aaaaaa", seed=0)
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines(keepends=True)
    lines.insert(place, b"\x00\x00 torn by a failing disk\n")
    metrics.write_bytes(b"".join(lines))
    amend(folder, [Metrics([2], [8], {FID: [7.0]})])
    steps = load_steps(tmp_path, folder.name)
    assert list(steps["step"]) == list(range(1, STEPS + 1))
    assert steps.set_index("step")[FID][2] == 7.0
    assert last_values(folder)["step"] == STEPS
    assert metrics.read_bytes().splitlines(keepends=True)[place] == lines[place]
