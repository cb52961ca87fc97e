"""Runs moved between stores: whole, once, whatever interrupts it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from dcgan.cli import app
from dcgan.run_folder.amend import amend
from tests.support.command import dcgan
from tests.support.mlflow_process import free_port, mlflow_server
from tests.support.neptune_exporter import row, rows_of_offline_run, write_export
from tracking.backends import REMOTES, load_backend, local
from tracking.errors import StoreError
from tracking.events import ARTIFACTS, IMPORTED, TRACKERS, Event, Fields, File, Metrics
from tracking.lock import locked
from tracking.testing.sample_run import (
    CREATED,
    RUN,
    STEPS,
    assert_same_as_journal,
    whole_run,
    write,
)
from tracking.transfer import TransferCount, import_run, send_run

pytestmark = pytest.mark.slow

REMOTE = pytest.mark.parametrize("remote", REMOTES)
# Without the one whose client takes 0.4 ms a step, which conforms as the others do.
QUICK_REMOTE = pytest.mark.parametrize("remote", [name for name in REMOTES if name != "wandb"])


@REMOTE
def test_a_run_is_sent_whole_and_only_once(store: Path, remote: str) -> None:
    output = dcgan("sync", RUN.id, "--to", remote, "--store", store)
    assert "3,002 values, 3 images, 2 files" in output
    assert_same_as_journal(load_backend(remote), store, ignore=TRACKERS)
    for _ in range(2):
        assert "is up to date" in dcgan("sync", "--all", "--to", remote, "--store", store)
    assert_same_as_journal(load_backend(remote), store, ignore=TRACKERS)
    assert local.read_fields(store / RUN.id)[f"{TRACKERS}/{remote}"] == "complete"


@QUICK_REMOTE
@pytest.mark.parametrize("after", [0, 1, 3, 5, 8])
def test_a_transfer_that_was_cut_short_goes_on(
    store: Path, remote: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = local.read_events

    def cut(*arguments: object) -> Iterable[Event]:
        for count, event in enumerate(read(*arguments)):  # type: ignore[arg-type]
            if count == after:
                raise ConnectionError("the cable was pulled")
            yield event

    monkeypatch.setattr("tracking.transfer.read_events", cut)
    with pytest.raises(StoreError, match="the cable was pulled"):
        send_run(store / RUN.id, remote)
    monkeypatch.undo()
    send_run(store / RUN.id, remote)
    assert_same_as_journal(load_backend(remote), store, ignore=TRACKERS)
    assert send_run(store / RUN.id, remote) == TransferCount()


@QUICK_REMOTE
def test_what_was_changed_here_is_changed_there(store: Path, remote: str) -> None:
    send_run(store / RUN.id, remote)
    dcgan("rename", RUN.id, "another name", "--store", store)
    dcgan("tag", RUN.id, "new", "--store", store)
    send_run(store / RUN.id, remote)
    fields = load_backend(remote).load_runs(store).loc[RUN.id]
    assert fields["sys/name"] == "another name"
    assert fields["sys/tags"] == ["baseline", "long run", "new"]
    if remote == "mlflow":
        from mlflow import MlflowClient

        (run,) = MlflowClient(f"sqlite:///{store}/mlflow.db").search_runs(["1"])
        assert run.info.run_name == "another name"


@QUICK_REMOTE
def test_a_run_goes_there_and_comes_back_to_another_store(
    store: Path, remote: str, tmp_path: Path
) -> None:
    send_run(store / RUN.id, remote)
    shutil.rmtree(store / RUN.id)
    kind = {"neptune": "neptune-offline"}.get(remote, remote)
    back = tmp_path / "back"
    output = dcgan("import", store, "--from", kind, "--store", back)
    assert "3,002 values, 3 images, 2 files" in output
    first = snapshot(back / RUN.id)
    assert "up to date" in dcgan("import", store, "--from", kind, "--store", back)
    assert snapshot(back / RUN.id) == first

    write(local.open_tracker(RUN, store), whole_run(tmp_path))
    runs = local.load_runs(back)
    assert runs.loc[RUN.id, IMPORTED] == remote
    assert_frame_equal(runs.drop(columns=IMPORTED), local.load_runs(store))
    assert_frame_equal(local.load_steps(back, RUN.id), local.load_steps(store, RUN.id))
    pictures = {file.name: file.read_bytes() for file in (store / RUN.id).rglob("*.png")}
    assert pictures == {file.name: file.read_bytes() for file in (back / RUN.id).rglob("*.png")}
    times = {file.name: file.stat().st_mtime_ns for file in (store / RUN.id).rglob("*.png")}
    assert times == {file.name: file.stat().st_mtime_ns for file in (back / RUN.id).rglob("*.png")}


@REMOTE
def test_a_value_that_comes_again_at_a_step_counts_everywhere(store: Path, remote: str) -> None:
    path, last = "evaluation/lenet_fid", STEPS
    send_run(store / RUN.id, remote)
    for number in (1, 2):
        amend(store / RUN.id, [Metrics([last], [CREATED + 10**6 + number], {path: [number / 2]})])
        assert "1 value" in dcgan("sync", "--to", remote, "--verify", "--store", store)
        assert load_backend(remote).load_last_values(store, RUN.id)[path] == number / 2
        assert_same_as_journal(load_backend(remote), store, ignore=TRACKERS)
    assert "up to date" in dcgan("sync", "--to", remote, "--store", store)


@QUICK_REMOTE
def test_what_a_resumed_run_measures_again_counts_everywhere(store: Path, remote: str) -> None:
    """The remote had more steps than the checkpoint, and gets those that took their place."""
    send_run(store / RUN.id, remote)
    local.rewind(store / RUN.id, STEPS - 100)
    journal = local.open_tracker(RUN, store)
    steps = range(STEPS - 99, STEPS + 1)
    times = [CREATED + 10**6 + step for step in steps]
    journal.write(Metrics(list(steps), times, {"training/batch/Gloss": [-step for step in steps]}))
    journal.close("finished")
    assert "100 values" in dcgan("sync", "--to", remote, "--store", store)
    theirs, ours = (load_backend(name).load_steps(store, RUN.id) for name in (remote, "local"))
    assert_frame_equal(
        theirs[["step", "training/batch/Gloss"]], ours[["step", "training/batch/Gloss"]]
    )
    result = CliRunner().invoke(app, ["sync", "--to", remote, "--verify", "--store", str(store)])
    assert result.exit_code == 2
    steps_there = ", ".join(str(step) for step in list(steps)[:3])
    assert f"training/batch/Dloss: 100 values only there ({steps_there}, ...)" in " ".join(
        result.output.replace("│", " ").split()
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_an_import_that_was_cut_short_does_not_pass_for_whole(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = tmp_path / "back"
    row = dict(local.load_runs(store).loc[RUN.id])
    load = local.load_events

    def cut(*arguments: Path) -> Iterable[Event]:
        for event in load(*arguments):  # type: ignore[arg-type]
            yield event
            if isinstance(event, Metrics):
                raise OSError("the disk was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(local, "load_events", cut)
        with pytest.raises(StoreError, match="pulled"):
            import_run("local", store, row, back)
    assert local.read_fields(back / RUN.id)["sys/status"] == "killed"
    assert import_run("local", store, row, back)
    assert local.read_fields(back / RUN.id)["sys/status"] == "finished"
    assert_frame_equal(local.load_steps(back, RUN.id), local.load_steps(store, RUN.id))


def test_a_run_that_was_made_here_is_left_as_it_is(store: Path) -> None:
    send_run(store / RUN.id, "mlflow")
    dcgan("tag", RUN.id, "later", "--store", store)
    assert "was trained here" in dcgan("import", store, "--from", "mlflow", "--store", store)
    assert "later" in str(local.read_fields(store / RUN.id)["sys/tags"])


@pytest.mark.parametrize(
    ("status", "there"), [("killed", "KILLED"), ("interrupted", "KILLED"), ("failed", "FAILED")]
)
def test_a_run_that_did_not_finish_is_sent_with_its_status(
    tmp_path: Path, status: str, there: str
) -> None:
    journal = local.open_tracker(RUN, tmp_path)
    journal.write(Fields({"sys/status": "running"}))
    if status != "killed":
        journal.close(status)  # type: ignore[arg-type]
    send_run(tmp_path / RUN.id, "mlflow")
    backend = load_backend("mlflow")
    assert backend.load_runs(tmp_path).loc[RUN.id, "sys/status"] == status
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs(["1"])
    assert run.info.status == there


def test_a_run_that_is_being_written_is_left_out(store: Path) -> None:
    with locked(store / RUN.id, training=True):
        assert "skipped" in dcgan("sync", "--all", "--to", "mlflow", "--store", store)
        with pytest.raises(StoreError, match="being written"):
            send_run(store / RUN.id, "mlflow")


def test_a_server_that_is_down_is_reported_and_gets_everything_later(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["sync", "--to", "mlflow", "--store", str(store)])
    assert result.exit_code == 2
    assert "could not be sent to mlflow" in result.output
    assert "Traceback" not in result.output
    with mlflow_server(tmp_path / "server", f"sqlite:///{tmp_path}/server.db") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # this machine may be busy
        dcgan("sync", "--to", "mlflow", "--store", store)
        assert_same_as_journal(load_backend("mlflow"), store, ignore=TRACKERS)
        back = tmp_path / "back"
        assert "3,002 values" in dcgan("import", address, "--from", "mlflow", "--store", back)
    assert_frame_equal(local.load_steps(back, RUN.id), local.load_steps(store, RUN.id))


@pytest.mark.parametrize("others", [0, 1])
def test_others_are_said_to_be_sent_only_if_there_are_some(
    store: Path, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("copy-1", "copy-2")[: 1 + others]:
        shutil.copytree(store / RUN.id, store / name)

    def send(folder: Path, to: str) -> TransferCount:
        if folder.name == "copy-2":
            return TransferCount(0, 0, 0)
        raise StoreError(f"{folder.name} is refused by {to}")

    monkeypatch.setattr("tracking.transfer.send_run", send)
    result = CliRunner().invoke(app, ["sync", "--all", "--to", "mlflow", "--store", str(store)])
    assert result.exit_code == 2
    assert "2 runs could not be sent" in result.output
    assert ("all others were" in result.output) == bool(others)


def test_a_rescued_run_lands_in_the_journal_and_in_mlflow_by_our_names(tmp_path: Path) -> None:
    exports, store = tmp_path / "exports", tmp_path / "store"
    rows = [row("sys/name", "string", "old"), row("parameters/lr", "float", 2e-4)]
    rows += [row("metrics/g", "float_series", 1 / (s + 1), s, CREATED + s) for s in range(50)]
    write_export(exports, "SAN-1", rows)
    renames = ("--rename", "parameters/lr=config/optimizer/lr")
    renames += ("--rename", "metrics/g=training/batch/Gloss")
    output = dcgan("import", exports, "--from", "neptune-export", *renames, "--store", store)
    assert "50 values" in output
    assert "old" in dcgan("runs", "--where", "optimizer.lr == 2e-4", "--store", store)
    (run,) = local.run_folders(store)
    assert local.read_steps(run)["training/batch/Gloss"].notna().sum() == 50
    dcgan("sync", "--all", "--to", "mlflow", "--store", store)
    assert_frame_equal(
        load_backend("mlflow").load_steps(store, run.name), local.load_steps(store, run.name)
    )


def test_a_rescued_run_of_ours_is_the_run_that_it_was(store: Path, tmp_path: Path) -> None:
    send_run(store / RUN.id, "neptune")
    exports, back = tmp_path / "exports", tmp_path / "back"
    write_export(exports, "DCGAN-7", list(rows_of_offline_run(store, exports, "DCGAN-7")))
    dcgan("import", exports, "--from", "neptune-export", "--store", back)
    theirs, ours = local.load_runs(back).drop(columns=IMPORTED), local.load_runs(store)
    assert_frame_equal(theirs, ours.drop(columns=f"{TRACKERS}/neptune"))
    assert_frame_equal(local.load_steps(back, RUN.id), local.load_steps(store, RUN.id))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such-folder", "--from", "mlflow"), "there is no such folder"),
        ((".", "--from", "mlflow"), "no mlflow runs"),
        ((".", "--from", "neptune-export"), "no exported run"),
        ((".", "--from", "local", "--rename", "x"), "OLD=NEW"),
    ],
)
def test_a_place_without_runs_is_reported(
    tmp_path: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["import", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("remote", ["tensorboard", "neptune"])
def test_a_trackers_own_folder_may_be_named(store: Path, remote: str, tmp_path: Path) -> None:
    send_run(store / RUN.id, remote)
    kind = {"neptune": "neptune-offline"}.get(remote, remote)
    output = dcgan("import", store / remote, "--from", kind, "--store", tmp_path / "mine")
    assert "3,002 values, 3 images, 2 files" in output


def test_an_import_undoes_neither_a_new_name_nor_tags(store: Path, tmp_path: Path) -> None:
    place = ["--store", tmp_path / "back"]
    dcgan("import", store, "--from", "local", *place)
    dcgan("rename", RUN.id, "another name", *place)
    dcgan("tag", RUN.id, "mine", *place)
    dcgan("tag", RUN.id, "theirs", "--store", store)
    dcgan("import", store, "--from", "local", *place)
    fields = local.read_fields(tmp_path / "back" / RUN.id)
    assert fields["sys/name"] == "another name"
    assert fields["sys/tags"] == ["baseline", "long run", "mine", "theirs"]


@REMOTE
def test_a_text_in_an_older_encoding_is_sent_as_a_file(
    store: Path, tmp_path: Path, remote: str
) -> None:
    source = tmp_path / "notes.txt"
    source.write_bytes("caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode("latin-1"))
    amend(store / RUN.id, [File(f"{ARTIFACTS}/notes", source)])
    send_run(store / RUN.id, remote)
    assert_same_as_journal(load_backend(remote), store, ignore=TRACKERS)
    assert send_run(store / RUN.id, remote) == TransferCount()
