"""A run that is written to a backend reads back equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from tracking.backends import Backend, load_backend, local
from tracking.events import (
    ARTIFACTS,
    FIXED_NOISE,
    GENERATOR_ARCH,
    REAL,
    Fields,
    File,
    Image,
    Metrics,
    Text,
)
from tracking.lock import locked
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    CREATED,
    RUN,
    assert_same_as_journal,
    block,
    content,
    epoch_means,
    picture,
    whole_run,
    write,
)
from tracking.testing.suite import Suite
from tracking.tracker import Held, Run, Status


class RoundTrip(Suite):
    """A whole run: written, read back, interrupted, and beside other runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        """The stores of the backend and of the journal, with the whole run; tests only read it."""
        folder = tmp_path_factory.mktemp("written")
        stores = folder / "störe of 100% runs", folder / "journal"
        for name, store in zip((cls.backend_name, "local"), stores, strict=True):
            tracker = load_backend(name).open_tracker(RUN, store)
            assert tracker.held() == Held()
            write(tracker, whole_run(folder, cls.steps))
        return stores

    def test_a_run_reads_back_as_the_journals_two_tables(
        self, backend: Backend, written: tuple[Path, Path]
    ) -> None:
        store, journal = written
        assert_same_as_journal(backend, store, journal)
        assert len(backend.load_steps(store, RUN.id)) == self.steps

    def test_what_is_written_can_be_read_before_the_run_ends(
        self, backend: Backend, store: Path, journal: Path, tmp_path: Path
    ) -> None:
        trackers = [backend.open_tracker(RUN, store), local.open_tracker(RUN, journal)]
        for event in whole_run(tmp_path, self.steps):
            for tracker in trackers:
                tracker.write(event)
        (store / RUN.id).mkdir(parents=True, exist_ok=True)
        with locked(journal / RUN.id), locked(store / RUN.id):  # as the training process does
            assert_same_as_journal(backend, store, journal)
            expected = content(local.load_events(journal, RUN.id))
            assert content(backend.load_events(store, RUN.id)) == expected
        for tracker in trackers:
            tracker.close("interrupted")
        assert_same_as_journal(backend, store, journal)

    def test_the_events_are_the_journals(
        self, backend: Backend, written: tuple[Path, Path]
    ) -> None:
        store, journal = written
        loaded = content(backend.load_events(store, RUN.id))
        for kind, expected in content(local.load_events(journal, RUN.id)).items():
            assert loaded[kind] == expected, kind

    def test_the_events_come_in_the_order_of_writing(
        self, backend: Backend, written: tuple[Path, Path]
    ) -> None:
        store, _ = written
        events = list(backend.load_events(store, RUN.id))
        ranks = {Fields: 0, Text: 1, File: 1, Metrics: 2, Image: 3}
        order = [ranks[type(event)] for event in events]
        assert order == sorted(order)
        steps: dict[str, list[int]] = {}
        for event in events:
            if isinstance(event, Metrics):
                for path in event.values:
                    steps.setdefault(path, []).extend(event.steps)
        assert all(series == sorted(series) for series in steps.values())

    def test_the_events_make_the_same_run_in_another_store(
        self, backend: Backend, written: tuple[Path, Path], tmp_path: Path
    ) -> None:
        store, _ = written
        copy = local.open_tracker(RUN, tmp_path / "copy")
        write(copy, backend.load_events(store, RUN.id))
        assert_same_as_journal(backend, store, tmp_path / "copy")
        expected = content(backend.load_events(store, RUN.id))
        assert content(local.load_events(tmp_path / "copy", RUN.id)) == expected

    def test_an_interrupted_run_goes_on_with_nothing_twice_and_nothing_missing(
        self, backend: Backend, store: Path, journal: Path, tmp_path: Path
    ) -> None:
        events = whole_run(tmp_path, self.steps)
        write(local.open_tracker(RUN, journal), events)
        first = backend.open_tracker(RUN, store)
        # A kill within the block, after some steps of it and one of the images.
        for event in (*events[:3], block(1, 1_300), epoch_means(1_250), events[6]):
            first.write(event)

        again = backend.open_tracker(RUN, store)
        held = again.held()
        assert held.last_step == {
            "training/batch/Gloss": 1_300,
            "training/batch/Dloss": 1_300,
            "training/epoch/Gloss": 1_250,
        }
        assert held.images == {(FIXED_NOISE, 500)}
        assert {path for path in held.files if path.startswith(ARTIFACTS)} == {
            GENERATOR_ARCH,
            f"{ARTIFACTS}/recipe",
        }
        write(again, Ledger(held).missing(local.load_events(journal, RUN.id)))

        assert_same_as_journal(backend, store, journal)
        # The store's own counts are checked in each backend's own tests.
        loaded = content(backend.load_events(store, RUN.id))
        assert loaded == content(local.load_events(journal, RUN.id))

        complete = backend.open_tracker(RUN, store)
        rest = Ledger(complete.held()).missing(local.load_events(journal, RUN.id))
        assert [type(event) for event in rest] == [Fields]
        complete.close("finished")

    def test_a_file_that_has_changed_is_written_again_and_only_then(
        self, backend: Backend, store: Path, tmp_path: Path
    ) -> None:
        # As the recipe of a run that is continued to another length.
        event = File(f"{ARTIFACTS}/recipe", tmp_path / "recipe.toml")
        for text, events in (("epochs = 3", 1), ("epochs = 9", 1), ("epochs = 9", 0)):
            event.source.write_text(text)
            tracker = backend.open_tracker(RUN, store)
            written = []
            for part in Ledger(tracker.held()).missing([event]):
                tracker.write(part)
                written.append(part)
            tracker.close("finished")
            assert len(written) == events
            loaded = content(backend.load_events(store, RUN.id))
            assert loaded["artifacts"] == content([event])["artifacts"]

    def test_a_resumed_run_keeps_its_fields_and_its_newest_status(
        self, backend: Backend, store: Path
    ) -> None:
        statuses: tuple[Status, ...] = ("interrupted", "failed", "finished")
        for status in statuses:
            tracker = backend.open_tracker(RUN, store)
            tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
            (store / RUN.id).mkdir(parents=True, exist_ok=True)
            with locked(store / RUN.id):
                assert backend.load_runs(store).loc[RUN.id, "sys/status"] == "running"
            tracker.close(status)
            row = backend.load_runs(store).loc[RUN.id]
            assert (row["sys/status"], row["config/seed"]) == (status, 1)

    def test_runs_of_one_store_do_not_mix(self, backend: Backend, store: Path) -> None:
        trackers = []
        for index in (2, 0, 1):
            run = Run(f"run-{index}", "the same name", CREATED + index)
            tracker = backend.open_tracker(run, store)
            tracker.write(Fields({"config/seed": index, f"sys/only-{index}": True}))
            trackers.append((index, tracker))
        for index, tracker in trackers:
            tracker.write(Metrics([1], [CREATED + 1], {"training/batch/Gloss": [index / 7]}))
            tracker.write(picture(REAL, index))
            tracker.close("finished")

        runs = backend.load_runs(store)
        assert list(runs.index) == ["run-0", "run-1", "run-2"]
        assert list(runs["config/seed"]) == [0, 1, 2]
        assert list(runs["sys/only-1"]) == [None, True, None]
        for index in range(3):
            steps = backend.load_steps(store, f"run-{index}")
            assert list(steps["training/batch/Gloss"]) == [index / 7]
            images = content(backend.load_events(store, f"run-{index}"))["images"]
            assert isinstance(images, dict)
            assert list(images) == [(REAL, index)]
        assert list(backend.load_steps(store, "run-9").columns) == ["run", "step", "time"]
        assert list(backend.load_events(store, "run-9")) == []

    def test_reading_where_nothing_is_creates_nothing(self, backend: Backend, store: Path) -> None:
        runs = backend.load_runs(store)
        assert runs.empty
        assert runs.index.name == "run"
        assert_frame_equal(backend.load_steps(store, "x"), local.load_steps(store, "x"))
        assert list(backend.load_events(store, "x")) == []
        assert backend.load_tails(store, "x", ["training/batch/Gloss"], 0.1) == {}
        assert backend.load_last_values(store, "x") == {}
        assert not store.exists()
