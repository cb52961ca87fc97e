"""Values that are added to a run which has ended."""

from __future__ import annotations

from pathlib import Path

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
