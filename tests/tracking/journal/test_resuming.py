"""A run that goes on: reopened, torn, rewound."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from tests.support.journal_events import (
    DLOSS,
    EPOCH_GLOSS,
    GLOSS,
    IDENTITY,
    assert_holds,
    block,
    epoch_means,
    write_all,
)
from tracking.backends.local import (
    METRICS_FILE,
    Journal,
    open_tracker,
    read_events,
    read_fields,
    read_run,
    rewind,
)
from tracking.events import ARTIFACTS, FIXED_NOISE, GENERATOR_ARCH, REAL, Event, Fields, File, Text
from tracking.testing.sample_run import CREATED, RUN, picture
from tracking.tracker import Held


def test_a_reopened_run_knows_what_it_holds(tmp_path: Path, journal: Journal) -> None:
    assert journal.held() == Held()
    write_all(journal, [Fields({"config/seed": 1, "sys/group": "old"}), block(1, 30)])
    write_all(journal, [epoch_means(20), picture(FIXED_NOISE, 25), Text(GENERATOR_ARCH, "G")])
    journal.close("interrupted")

    again = open_tracker(RUN, tmp_path)
    assert again.held() == Held(
        last_step={GLOSS: 30, DLOSS: 30, EPOCH_GLOSS: 20},
        last_time={GLOSS: CREATED + 300, DLOSS: CREATED + 300, EPOCH_GLOSS: CREATED + 205},
        images=frozenset({(FIXED_NOISE, 25)}),
        files=frozenset({GENERATOR_ARCH}),
    )
    write_all(again, [Fields({"sys/group": "new"}), block(31, 40)])
    again.close("finished")
    assert_holds(again.folder, [block(1, 40), epoch_means(20)])
    fields = read_fields(again.folder)
    assert fields == {
        **IDENTITY,
        "config/seed": 1,
        "sys/group": "new",
        "sys/status": "finished",
    }
    assert read_run(again.folder) == RUN


def test_a_torn_last_line_is_dropped_wherever_it_was_cut(tmp_path: Path, journal: Journal) -> None:
    write_all(journal, [block(1, 3)])
    metrics = journal.folder / METRICS_FILE
    content = metrics.read_bytes()
    last_line = content.splitlines(keepends=True)[-1]
    for length in range(len(last_line)):
        metrics.write_bytes(content[: len(content) - len(last_line) + length])
        assert_holds(journal.folder, [block(1, 2)])
        again = open_tracker(RUN, tmp_path)
        assert again.held().last_step == {GLOSS: 2, DLOSS: 2}
        again.write(block(3, 4))
        again.close("finished")
        assert_holds(journal.folder, [block(1, 4)])


def test_a_rewound_run_forgets_what_was_measured_later_and_nothing_else(
    tmp_path: Path, journal: Journal
) -> None:
    earlier: list[Event] = [
        block(1, 20),
        epoch_means(20),
        picture(FIXED_NOISE, 10),
        picture(REAL, 20),
    ]
    later: list[Event] = [
        block(21, 45),
        epoch_means(40),
        picture(FIXED_NOISE, 21),
        picture(REAL, 40),
    ]
    journal.write(Fields({"config/seed": 1}))
    write_all(journal, [Text(GENERATOR_ARCH, "G"), *earlier, *later])
    journal.close("interrupted")
    checkpoint = journal.folder / "checkpoints" / "step-00000040.pt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    fields = read_fields(journal.folder)

    rewind(journal.folder, 20)
    assert_holds(journal.folder, earlier)
    assert open_tracker(RUN, tmp_path).held() == Held(
        last_step={GLOSS: 20, DLOSS: 20, EPOCH_GLOSS: 20},
        last_time={GLOSS: CREATED + 200, DLOSS: CREATED + 200, EPOCH_GLOSS: CREATED + 205},
        images=frozenset({(FIXED_NOISE, 10), (REAL, 20)}),
        files=frozenset({GENERATOR_ARCH}),
    )
    assert read_fields(journal.folder) == fields
    assert checkpoint.exists()

    again = open_tracker(RUN, tmp_path)
    write_all(again, later)
    assert_holds(journal.folder, [*earlier, *later])


def test_what_a_killed_process_left_half_written_goes_with_the_next_one(tmp_path: Path) -> None:
    journal = open_tracker(RUN, tmp_path)
    journal.write(Fields({"config/seed": 1}))
    dead = multiprocessing.Process(target=int)
    dead.start()
    dead.join()
    checkpoints = journal.folder / "checkpoints"
    checkpoints.mkdir()
    stale = checkpoints / f".step-00000030.pt.{dead.pid}.tmp"
    being_written = checkpoints / f".step-00000031.pt.{os.getpid()}.tmp"
    (journal.folder / f".fakes.{dead.pid}.tmp" / "half").mkdir(parents=True)
    of_user = checkpoints / ".notes.tmp"
    for file in (stale, being_written, of_user, checkpoints / "step-00000029.pt"):
        file.touch()
    rewind(journal.folder, 0)
    kept = [of_user, being_written, checkpoints / "step-00000029.pt"]
    assert sorted(checkpoints.iterdir()) == sorted(kept)
    assert list(journal.folder.glob(".fakes*")) == []


def test_a_run_can_be_rewound_to_its_start_even_before_its_first_step(tmp_path: Path) -> None:
    journal = open_tracker(RUN, tmp_path)
    (journal.folder / METRICS_FILE).unlink()
    rewind(journal.folder, 0)
    assert_holds(journal.folder, [])
    journal = open_tracker(RUN, tmp_path)
    write_all(journal, [block(1, 5), picture(REAL, 1)])
    rewind(journal.folder, 0)
    assert [type(event) for event in read_events(journal.folder)] == [Fields]


def test_a_file_that_is_in_its_place_already_stays(journal: Journal) -> None:
    recipe = journal.folder / "artifacts" / "recipe.toml"
    recipe.parent.mkdir()
    recipe.write_text("name = 'digits'\n")
    journal.write(File(f"{ARTIFACTS}/recipe", recipe))
    assert recipe.read_text() == "name = 'digits'\n"
