"""How runs get their folders, and how a user refers to them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tracking.backends.local import open_tracker
from tracking.errors import StoreError
from tracking.events import Fields
from tracking.store import create_run, find_run, restore_run, trash_run, trashed_runs
from tracking.tracker import Run

CREATED = 1_700_000_000_123


def add(store: Path, run: Run) -> Path:
    journal = open_tracker(run, store)
    journal.write(Fields({"sys/recipe": "digits"}))
    journal.close("finished")
    return store / run.id


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for run in (
        Run("digits-abc234", "first try", CREATED + 1),
        Run("digits-abd567", "digits-abd567", CREATED + 3),
        Run("celeba-xyz234", "faces", CREATED + 2),
        Run("mnist-softmax-qrs234", "twin", CREATED),
        Run("mnist-softmax-tuv234", "twin", CREATED),
    ):
        add(tmp_path, run)
    return tmp_path


@pytest.mark.parametrize(
    ("reference", "run"),
    [
        ("digits-abc234", "digits-abc234"),
        ("digits-abc", "digits-abc234"),
        ("abd", "digits-abd567"),
        ("xyz234", "celeba-xyz234"),
        ("c", "celeba-xyz234"),
        ("t", "mnist-softmax-tuv234"),
        ("faces", "celeba-xyz234"),
        ("first try", "digits-abc234"),
        ("last", "digits-abd567"),
    ],
)
def test_a_run_is_found_by_what_a_person_types(store: Path, reference: str, run: str) -> None:
    assert find_run(store, reference) == store / run


def test_an_id_wins_over_a_name_and_a_name_over_the_start_of_an_id(tmp_path: Path) -> None:
    add(tmp_path, Run("digits-abc234", "x", CREATED))
    add(tmp_path, Run("digits-abc567", "digits-abc234", CREATED))
    add(tmp_path, Run("digits-qrs234", "digits-abc", CREATED))
    assert find_run(tmp_path, "digits-abc234").name == "digits-abc234"
    assert find_run(tmp_path, "digits-abc").name == "digits-qrs234"


@pytest.mark.parametrize(
    ("reference", "candidates"),
    [
        ("digits", ["digits-abc234", "digits-abd567"]),
        ("ab", ["digits-abc234", "digits-abd567"]),
        ("twin", ["mnist-softmax-qrs234", "mnist-softmax-tuv234"]),
    ],
)
def test_an_ambiguous_reference_names_the_candidates(
    store: Path, reference: str, candidates: list[str]
) -> None:
    with pytest.raises(StoreError) as raised:
        find_run(store, reference)
    first, *listed, last = str(raised.value).splitlines()
    assert first == f"{reference!r} could be any of 2 runs:"
    assert [line.strip() for line in listed] == candidates
    assert last == "Type more of its id."


@pytest.mark.parametrize("reference", ["nothing", "", "234", "bc234", "DIGITS-ABC234", "Last"])
def test_an_unknown_reference_says_what_there_is(store: Path, reference: str) -> None:
    with pytest.raises(StoreError) as raised:
        find_run(store, reference)
    assert f"There is no run {reference!r} in {store}." in str(raised.value)
    assert "digits-abc234" in str(raised.value)


@pytest.mark.parametrize("path", [".", "not/yet/there"])
def test_an_empty_store_says_how_to_begin(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreError, match=re.escape("Start one with: dcgan train")):
        find_run(tmp_path / path, "last")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_runs_are_passed_over(store: Path) -> None:
    (store / "mlflow-artifacts").mkdir()
    (store / "digits-zzz999").mkdir()
    (store / "digits-zzz999" / "metrics.jsonl").touch()
    with pytest.raises(StoreError, match="There is no run"):
        find_run(store, "digits-zzz999")


@pytest.mark.parametrize(
    ("recipe", "stem"),
    [
        ("digits", "digits"),
        ("mnist-softmax", "mnist-softmax"),
        ("My recipe (copy).v2", "my-recipe-copy-v2"),
        ("../../etc/passwd", "etc-passwd"),
        ("星", "run"),
        ("", "run"),
    ],
)
def test_an_id_is_a_name_that_every_store_takes(tmp_path: Path, recipe: str, stem: str) -> None:
    run, folder = create_run(tmp_path / "new" / "store", recipe, None, CREATED)
    assert re.fullmatch(rf"{stem}-[2-9a-z]{{6}}", run.id)
    assert run == Run(run.id, run.id, CREATED)
    assert folder == tmp_path / "new" / "store" / run.id
    assert folder.is_dir()


def test_a_hundred_runs_of_one_recipe_have_ids_of_their_own(tmp_path: Path) -> None:
    runs = [create_run(tmp_path, "digits", "a name", CREATED)[0] for _ in range(100)]
    assert len({run.id for run in runs}) == 100
    assert {run.name for run in runs} == {"a name"}


def test_a_store_below_a_regular_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as raised:
        create_run(tmp_path / "file" / "runs", "digits", None, CREATED)
    assert str(raised.value) == (
        f"The store {tmp_path}/file/runs cannot be written to: {tmp_path}/file is not a folder.\n"
        "Give a folder of your own with --store."
    )


def test_a_store_in_proc_cannot_be_written_to() -> None:
    """Not even by root, whom permission bits do not bind."""
    with pytest.raises(
        StoreError,
        match="The store /proc/runs cannot be written to: no folder can be made in /proc",
    ):
        create_run(Path("/proc/runs"), "digits", None, CREATED)


def test_a_copied_run_comes_back_from_the_trash_under_its_own_name(store: Path) -> None:
    copy = store / "digits-abc234.bak"
    for _ in range(2):
        shutil.copytree(store / "digits-abc234", copy)
        trash_run(copy)
    assert [folder.name for folder in trashed_runs(store)] == [copy.name, f"{copy.name}.1"]
    assert restore_run(store, f"{copy.name}.1") == copy
    assert (store / "digits-abc234").exists()
