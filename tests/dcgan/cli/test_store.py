"""Runs chosen, tagged, renamed, deleted and brought back from the command line."""

from __future__ import annotations

import errno
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis import load
from dcgan.cli import app
from dcgan.store_dir import dcgan_call, dcgan_command
from tests.support.refusal import error_of
from tracking.backends.local import amend_fields, open_tracker, read_fields, run_folders
from tracking.events import BATCH, IMPORTED, Fields, Metrics
from tracking.lock import locked
from tracking.store import TRASH
from tracking.tracker import Run

ESCAPE = "\x1b[31mred\x1b[0m"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three finished runs with learning rates 1e-4, 1e-3 and 1e-2."""
    for number, lr in enumerate((1e-4, 1e-3, 1e-2)):
        journal = open_tracker(Run(f"digits-run00{number}", f"run {number}", number), tmp_path)
        journal.write(Fields({"config/optimizer/lr": lr, "sys/recipe": "digits", "sys/tags": []}))
        journal.write(Metrics([1, 2], [5, 6], {f"{BATCH}/Gloss": [2.0, 3.0 - number]}))
        journal.close("finished")
    return tmp_path


def invoke(store: Path, *arguments: str) -> Result:
    environment = {"COLUMNS": "120", "DCGAN_STORE": str(store)}
    return CliRunner().invoke(app, list(arguments), env=environment)


def said(store: Path, *arguments: str) -> str:
    result = invoke(store, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(store: Path, *arguments: str) -> str:
    return error_of(invoke(store, *arguments))


def listed(store: Path, *arguments: str) -> list[str]:
    return [row["run"] for row in json.loads(said(store, "runs", "--json", *arguments))]


def test_runs_are_filtered_and_sorted(store: Path):
    assert listed(store, "--where", "optimizer.lr < 5e-3 and status == 'finished'") == [
        "digits-run000",
        "digits-run001",
    ]
    assert listed(store, "--sort", "Gloss")[0] == "digits-run002"
    assert listed(store, "--sort", "optimizer.lr", "--desc")[0] == "digits-run002"
    screen = said(store, "runs", "--sort", "optimizer.lr")
    assert "optimizer.lr" in screen.splitlines()[0], "what they are sorted by is shown"
    none = " ".join(said(store, "runs", "--where", "optimizer.lr > 1").split())
    assert none.startswith("No runs in")
    assert none.endswith("match.")
    assert "optimizer.lr" in refused(store, "runs", "--where", "optimzer.lr > 1")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--where", "optimizer.lr = 1e-3"), "write two: optimizer.lr == 1e-3"),
        (("--where", "Gloss < 3 and seed=0"), "write two: Gloss < 3 and seed==0"),
        (("--where", "Gloss <"), "Write an expression such as"),
        (("--sort", "lenet_fid"), "Measure it with: dcgan evaluate RUN"),
        (("--where", "best_lenet_fid < 9"), "Measure it with: dcgan evaluate RUN"),
    ],
)
def test_a_mistake_in_a_selection_is_explained(store: Path, arguments: tuple[str, ...], hint: str):
    assert hint in refused(store, "runs", *arguments)


def test_only_the_last_runs_are_printed_and_that_is_said(store: Path):
    printed = said(store, "runs", "--limit", "1")
    assert "digits-run002" in printed
    assert "digits-run001" not in printed
    assert "The last 1 of 3 runs" in printed
    assert said(store, "runs", "--limit", "0").count("digits-run00") == 3


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_numbers_and_ids_are_whole_at_every_width(store: Path, width: int):
    said(store, "rename", "run000", "a run with a name that takes more than its share of the line")
    environment = {"COLUMNS": str(width), "DCGAN_STORE": str(store)}
    for arguments in ([], ["--sort", "Gloss"], ["--columns", "optimizer.lr,tags,Gloss,created"]):
        printed = CliRunner().invoke(app, ["runs", *arguments], env=environment).stdout
        assert "\N{HORIZONTAL ELLIPSIS}" not in printed
        assert all(len(line) <= width for line in printed.splitlines())
        heading, first, *_ = printed.splitlines()
        assert first.startswith("digits-run00")
        left_out = " ".join(printed.split()).partition("No room here for: ")[2]
        for column in ["optimizer.lr", "Gloss", "created"] if "--columns" in arguments else []:
            assert (column in heading) != (column in left_out)
    assert ("No room" in printed) == (width < 80)


def test_the_chosen_values_are_shown(store: Path):
    heading, first, *_ = said(store, "runs", "--columns", "optimizer.lr, Gloss").splitlines()
    assert heading.split() == ["run", "optimizer.lr", "Gloss"]
    assert first.split() == ["digits-run000", "0.0001", "3"]
    rows = json.loads(said(store, "runs", "--columns", "optimizer.lr", "--json"))
    assert [row["columns"] for row in rows] == [{"optimizer.lr": lr} for lr in (1e-4, 1e-3, 1e-2)]
    assert "Did you mean optimizer.lr" in refused(store, "runs", "--columns", "optimzer.lr")


def test_tags_are_added_and_taken_off(store: Path):
    said(store, "tag", "run 1", "baseline", "b", "b", "baseline")
    assert read_fields(store / "digits-run001")["sys/tags"] == ["baseline", "b"]
    assert listed(store, "--where", "'baseline' in tags") == ["digits-run001"]
    typo = said(store, "tag", "digits-run001", "basline", "--remove")
    assert "baseline, b; it had no tag basline" in typo
    assert "no tag" not in said(store, "tag", "digits-run001", "baseline", "--remove")
    assert read_fields(store / "digits-run001")["sys/tags"] == ["b"]


def test_a_run_is_found_by_its_new_name(store: Path):
    said(store, "rename", "run000", "the best so far")
    assert read_fields(store / "digits-run000")["sys/name"] == "the best so far"
    assert "digits-run000" in said(store, "show", "the best so far")
    assert "stands for the newest run" in refused(store, "rename", "run000", "last")


def test_suggested_commands_name_the_store_only_where_it_is_needed(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DCGAN_STORE", str(store))
    assert dcgan_command("runs", store=store) == "dcgan runs"
    assert dcgan_call("resume", "x", store=store) == 'dcgan.resume("x")'
    assert dcgan_command("runs", store=Path("runs")) == "dcgan runs --store runs"
    monkeypatch.delenv("DCGAN_STORE")
    assert dcgan_command("runs", store=store) == f"dcgan runs --store {store}"
    assert dcgan_command("runs", store=Path("my runs")) == "dcgan runs --store 'my runs'"
    sweep = dcgan_call("sweep", "x", "resume=True", store=Path("my runs"))
    assert sweep == 'dcgan.sweep("x", resume=True, store="my runs")'
    monkeypatch.chdir(store.parent)
    assert dcgan_command("runs", store=store) == f"dcgan runs --store {store.name}"
    assert "dcgan train --store 'my runs'" in refused(Path("my runs"), "show")


def test_an_imported_run_says_that_it_has_no_checkpoints(store: Path):
    journal = open_tracker(Run("digits-foreign", "foreign", 9), store)
    journal.write(Fields({IMPORTED: "mlflow", "sys/recipe": "digits"}))
    journal.close("failed")
    for command in (["sample"], ["evaluate"], ["resume"], ["probe", "interpolate"]):
        assert "was imported (mlflow)" in refused(store, *command, "foreign")


@pytest.mark.parametrize("label", [ESCAPE, " ", "two\nlines"])
def test_a_label_that_steers_terminals_is_refused(store: Path, label: str):
    assert "plain text" in refused(store, "rename", "run000", label)
    assert "plain text" in refused(store, "tag", "run000", label)
    assert read_fields(store / "digits-run000")["sys/name"] == "run 0"


def test_what_came_from_elsewhere_cannot_steer_the_terminal(store: Path):
    journal = open_tracker(Run("digits-evil", ESCAPE, 9), store)
    journal.write(Fields({"config/dataset/path": ESCAPE, "sys/recipe": ESCAPE}))
    journal.close("finished")
    for command in ("runs", "show"):
        printed = said(store, command)
        assert "\x1b[31m" not in printed
        assert "\\x1b[31m" in printed


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("show run", ["run 0", "run 1", "run 2"]),
        ("show digits-run001", ["digits-run001"]),
        ("compare --sweep ra", ["rates", "rates-abc234"]),
        ("train --set optimizer.l", ["optimizer.lr="]),
        ("train --set init.scheme=d", ["init.scheme=dcgan", "init.scheme=default"]),
        ("train --set training.detach_fakes=", ["training.detach_fakes=true"]),
        ("sweep digits --over training.prec", ["training.precision=auto"]),
        ("train --set nothing=", []),
    ],
)
def test_the_shell_completes(store: Path, typed: str, offered: list[str]):
    amend_fields(
        store / "digits-run000", {"sys/sweep/id": "rates-abc234", "sys/sweep/name": "rates"}
    )
    environment = {
        "DCGAN_STORE": str(store),
        "_DCGAN_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"dcgan {typed}",
    }
    shown = CliRunner().invoke(app, [], env=environment, prog_name="dcgan").output
    assert all(f'"{each}"' in shown for each in offered), shown
    assert offered or "=" not in shown


def test_a_deleted_run_comes_back(store: Path):
    assert "dcgan restore digits-run001" in said(store, "delete", "run001")
    assert "digits-run001" not in listed(store)
    said(store, "restore", "digits-run")
    assert len(listed(store)) == 3
    assert "which is empty" in refused(store, "restore", "digits-run001")
    said(store, "delete", "run001", "run002")
    assert "could be any of these in the trash" in refused(store, "restore", "digits")
    assert "holds digits-run001, digits-run002" in refused(store, "restore", "run007")


def test_the_trash_is_emptied_when_the_user_agrees(store: Path):
    said(store, "delete", "run000", "run001")
    declined = CliRunner().invoke(app, ["delete", "--purge", "--store", str(store)], input="n\n")
    assert "Permanently delete 2 runs" in declined.output
    assert len(list((store / TRASH).iterdir())) == 2
    assert "Deleted 2 runs" in said(store, "delete", "--purge", "--yes")
    assert not (store / TRASH).exists()
    assert "The trash is empty" in said(store, "delete", "--purge")


def test_a_run_that_is_being_written_is_left_alone(store: Path):
    folder = store / "digits-run000"
    with locked(folder):
        for command in (["tag", "run000", "x"], ["rename", "run000", "x"], ["delete", "run000"]):
            assert "is being written" in refused(store, *command)
    assert folder in run_folders(store)


@pytest.mark.parametrize("name", ["../outside", "/etc", "digits-run000/../..", ".."])
def test_no_name_leads_out_of_the_store(store: Path, name: str):
    for command in (["delete", name], ["restore", name], ["show", name], ["rename", name, "x"]):
        assert "There is no run" in refused(store, *command)
    assert len(run_folders(store)) == 3


def test_space_is_told_by_run_and_beside_them(store: Path):
    (store / "digits-run001" / "checkpoints").mkdir()
    (store / "digits-run001" / "checkpoints" / "1.pt").write_bytes(bytes(2_000_000))
    (store / "mlflow.db").write_bytes(bytes(5_000))
    said(store, "delete", "run000")
    told = json.loads(said(store, "du", "--json"))
    assert told["runs"]["digits-run001"]["checkpoints"] == 2_000_000
    assert told["beside"]["mlflow.db"] == 5_000
    assert told["beside"]["trash"] > 0
    lines = said(store, "du").splitlines()
    assert lines[1].startswith("digits-run001")
    assert "2 MB" in lines[1]


@pytest.mark.parametrize(
    "arguments", [["runs"], ["du"], ["show"], ["delete", "--purge"], ["train"], ["sweep", "digits"]]
)
def test_a_file_is_no_store(tmp_path: Path, arguments: list[str]):
    (tmp_path / "file").touch()
    assert "is a file" in refused(tmp_path / "file", *arguments)
    assert "no runs" in refused(tmp_path / "missing", "du")


DAMAGES = {
    "a merge conflict": ("run.json", "<<<<<<< HEAD\n{}\n"),
    "an empty object": ("run.json", "{}"),
    "a list": ("run.json", "[1]"),
    "no object": ("run.json", "null"),
    "deep nesting": ("run.json", '{"a":' * 50_000),
    "no time": ("run.json", '{"sys": {"name": "x", "created": "yesterday"}}'),
    "a name of a wrong type": (
        "run.json",
        '{"sys": {"name": [1], "created": "2026-01-01T00:00:00.000Z"}}',
    ),
    "a broken configuration": ("config.json", '{"optimizer": '),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_told_of_in_one_line_and_hides_no_other(
    store: Path, damage: tuple[str, str]
) -> None:
    file, content = damage
    (store / "digits-run001" / file).write_text(content)
    others = ["digits-run000", "digits-run002"]

    result = invoke(store, "runs", "--json")
    assert [row["run"] for row in json.loads(result.stdout)] == others
    (warning,) = result.stderr.splitlines()
    assert "The run digits-run001 is left out" in warning
    assert "digits-run002" in said(store, "show", "last")
    assert "digits-run000: new" in said(store, "tag", "run000", "new")
    assert list(load(store).table.index) == others
    message = refused(store, "show", "digits-run001")
    assert f"{file} is damaged" in message

    result = invoke(store, "sync", "--all", "--to", "tensorboard")
    assert result.exit_code == 2
    assert f"{file} is damaged" in re.sub(r"[\s│]+", " ", result.output)
    for run in others:
        assert f"{run}  2 values" in result.output


def test_a_value_of_any_type_in_a_configuration_can_be_listed(store: Path) -> None:
    for value in (None, "x", -1, 0, [[1]], {}, True, 1e308):
        tree = {"training": {"epochs": value, "steps": value, "batch_size": value}}
        tree |= {"dataset": {"size": value}}
        (store / "digits-run001" / "config.json").write_text(json.dumps(tree))
        assert len(listed(store)) == 3


def test_a_run_that_was_deleted_imported_and_deleted_again_is_twice_in_the_trash(
    store: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "store"
    shutil.copytree(store, copy)
    for _ in range(3):
        said(store, "delete", "digits-run000")
        said(store, "import", str(copy), "--from", "local")
    said(store, "delete", "digits-run000")
    trash = sorted(folder.name for folder in (store / TRASH).iterdir())
    assert trash == ["digits-run000", *(f"digits-run000.{number}" for number in (1, 2, 3))]
    assert "digits-run000 is back" in said(store, "restore", "digits-run000.1")
    assert "already has a run" in refused(store, "restore", "digits-run000")


def test_a_run_that_is_named_twice_is_deleted_once(store: Path) -> None:
    output = said(store, "delete", "digits-run000", "run000")
    assert output.count("Moved digits-run000 to the trash") == 1
    assert [folder.name for folder in (store / TRASH).iterdir()] == ["digits-run000"]


@pytest.mark.parametrize(
    "arguments",
    [("tag", "run000", "x"), ("rename", "run000", "x"), ("delete", "run000")],
    ids=lambda arguments: arguments[0],
)
def test_a_store_that_is_read_only_is_told_of(
    store: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    assert "cannot be used: Read-only file system" in refused(store, *arguments)


@pytest.mark.parametrize("command", ["sample", "probe filters"])
def test_an_output_is_checked_before_the_work(store: Path, tmp_path: Path, command: str) -> None:
    run = [*command.split(), "run001"]
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in refused(store, *run, "-o", str(tmp_path / "folder.png"))
    missing = tmp_path / "new" / "folder"
    assert "cannot be opened" in refused(store, *run, "-o", str(missing / "x.png"))


def test_a_store_that_is_none_is_told_of(store: Path) -> None:
    assert "There are no runs in" in refused(store / "missing", "du")
    (store / "file").touch()
    for command in ("runs", "show", "du", "watch"):
        assert "is a file" in refused(store, command, "--store", str(store / "file"))


def test_nothing_in_a_store_controls_the_terminal(store: Path) -> None:
    """Escapes and characters that turn the direction of writing, in every field that is shown."""
    file = store / "digits-run001" / "run.json"
    tree = json.loads(file.read_text())
    evil = f"{ESCAPE}\u202egnp.exe"
    tree["sys"] |= {"name": evil, "status": evil, "tags": [evil], "error": evil, "group": evil}
    tree["sys"] |= {"trackers": {"mlflow": evil, evil: "complete"}, evil: evil}
    file.write_text(json.dumps(tree))
    shutil.copytree(store / "digits-run000", store / f"digits-{ESCAPE}")
    for command in (
        "runs",
        "runs --sort name",
        "show run001",
        "watch run001",
        "du",
        "tag run001 x",
    ):
        output = said(store, *command.split())
        assert not {"\x1b", "\u202e"} & set(output), command
    assert len(listed(store)) == 3
