"""`import dcgan`: the command line's equal, and what it does that a command does not."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import typer.main
from typer.testing import CliRunner

import dcgan
from dcgan.api import progress, training
from dcgan.cli import app
from dcgan.sampling import draw_latents
from dcgan.sweeping.worker import run_work_item
from dcgan.training.checkpoint import CheckpointError
from tracking.backends.local import run_folders
from tracking.events import FIXED_NOISE, Event, Image
from tracking.store import rename_run

TINY: dict[str, Any] = {
    "network.generator_features": 4,
    "network.discriminator_features": 4,
    "network.latent_size": 8,
    "images.every_steps": 2,
    "images.count": 9,
}
ARGUMENTS: dict[str, Any] = {"settings": TINY, "batch_size": 600, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    """A finished run of two epochs, three steps each."""
    store = tmp_path_factory.mktemp("api") / "runs"
    return dcgan.train("digits", epochs=2, lr=1e-3, seed=5, store=store, **ARGUMENTS)


@pytest.fixture
def store(run: dcgan.Run) -> Path:
    return run.folder.parent


def test_the_import_is_quick_because_it_imports_nothing_heavy() -> None:
    code = "import dcgan, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    for name in ("torch", "numpy", "pandas", "matplotlib", "typer", "pydantic", "analysis"):
        assert f"'{name}'" not in loaded.stdout
    assert {"train", "open", "sweep"} <= set(dir(dcgan))
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        dcgan.trian  # noqa: B018


@pytest.mark.parametrize("name", ["train", "resume", "sweep"])
def test_every_option_of_the_command_is_an_argument_of_the_function(name: str) -> None:
    command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    options = {parameter.name for parameter in command.params}
    renamed = {"compiled": "compile", "tracker": "trackers", "tag": "tags", "address": "cluster"}
    arguments = {renamed.get(option, option) for option in options} - {"listed", "seed_list"}
    assert arguments | {"progress"} == set(inspect.signature(getattr(dcgan, name)).parameters) | {
        argument for argument in arguments if argument == "help"
    }


def test_it_trains_what_the_command_trains(run: dcgan.Run, tmp_path: Path) -> None:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    command = ["train", "digits", "--epochs", "2", "--lr", "1e-3", "--seed", "5"]
    command += ["--batch-size", "600", "--device", "cpu", "--store", str(tmp_path), *settings]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    other = dcgan.open(store=tmp_path)
    assert other.config == run.config
    ours, theirs = run.generator().state_dict(), other.generator().state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert run.fields["sys/command"] == (
        "dcgan.train digits network.generator_features=4 network.discriminator_features=4 "
        "network.latent_size=8 images.every_steps=2 images.count=9 lr=0.001 epochs=2 "
        "batch_size=600 seed=5"
    )


def test_what_a_run_says_of_itself(run: dcgan.Run, store: Path) -> None:
    assert repr(run) == f"<Run {run.id}: finished, 6 steps>"
    assert dcgan.open(run.id[-6:], store=store) == run
    assert run.config.optimizer.lr == 1e-3
    assert run.metrics["step"].tolist() == [1, 2, 3, 4, 5, 6]
    losses = run.losses()
    assert losses.columns.tolist() == ["generator", "discriminator"]
    assert losses.index.tolist() == [1, 2, 3, 4, 5, 6]
    means = run.losses("epoch")
    assert means.loc[6].tolist() == pytest.approx(losses.loc[4:6].mean().tolist())
    assert run.grid_steps == [0, 2, 4, 6]
    assert run.grid().size == run.grid(2).size == (104, 104)
    with pytest.raises(dcgan.UserError, match=r"no grid of step 3.\nThe nearest of its 4 grids: 0"):
        run.grid(3)
    assert list(dcgan.runs(store).table.index) == [run.id]


def test_a_checkpoint_in_a_cell_is_not_shown_with_all_its_numbers(run: dcgan.Run) -> None:
    trained = run.at()
    assert trained.state["step"] == 6
    assert "tensor" not in repr(trained)
    assert len(repr(trained)) < 5_000


def test_samples_are_those_of_the_generator(run: dcgan.Run) -> None:
    images = run.sample(5, seed=3)
    assert (images.shape, images.dtype) == ((5, 32, 32, 1), np.uint8)
    generator = run.generator()
    assert not generator.training
    latents = draw_latents(5, run.config.network, torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = (generator(latents) + 1) * 127.5
    difference = expected.permute(0, 2, 3, 1).numpy() - images
    assert np.abs(difference).max() <= 0.51
    assert not np.array_equal(images, run.sample(5, seed=4))
    logits = run.discriminator()(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    assert logits.shape == (5, 1, 1, 1)
    with pytest.raises(dcgan.UserError, match="count = 0: it should be 1 or more"):
        run.sample(0)
    with pytest.raises(dcgan.UserError, match="samples = 0: it should be 100 or more"):
        run.evaluate(samples=0)
    with pytest.raises(dcgan.UserError, match="weights = 'em': it should be 'current' or 'ema'"):
        run.sample(1, weights=cast("Any", "em"))
    with pytest.raises(dcgan.UserError, match="per = 'week': it should be 'step' or 'epoch'"):
        run.losses(cast("Any", "week"))
    with pytest.raises(dcgan.UserError, match=r"name = 'losses': .* one of loss, scores, progr"):
        run.plot(cast("Any", "losses"))
    with pytest.raises(CheckpointError, match="no checkpoint of step 77"):
        run.generator(77)
    with pytest.raises(dcgan.UserError, match="no moving average"):
        run.sample(weights="ema")


def test_its_figures_and_its_page(run: dcgan.Run, store: Path) -> None:
    assert len(run.plot_losses().axes) == 3
    with pytest.raises(dcgan.UserError, match="has no evaluation to draw"):
        run.plot_evaluation()
    rename_run(run.folder, "<script>")
    page = run._repr_html_()
    assert page.count("<img ") == 2
    assert "<script>" not in page
    assert "finished, 6 steps" in page
    assert len(page) < 150_000


def test_a_report_is_on_this_run_alone(run: dcgan.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    def save(content: Any, path: Path, kind: str) -> list[Path]:
        written.append((content, kind))
        return [path]

    monkeypatch.setattr(
        "analysis.report.compose", lambda runs, generated: [*runs.table.index, generated.run]
    )
    monkeypatch.setattr("analysis.report.save_report", save)
    assert run.report("run.md") == Path("run.md")
    assert written == [([run.id, run.id], "md")]


def test_scores_are_a_table(run: dcgan.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def evaluate_run(folder: Path, **arguments: Any) -> Iterator[Any]:
        asked.update(arguments, folder=folder)
        score = SimpleNamespace(
            name="lenet_fid", value=60.5, spread=1.5, real_score=9.4, better="lower", samples=800
        )
        yield SimpleNamespace(step=6, scores=[score], warn_if_not_kept=lambda: None)

    monkeypatch.setattr("dcgan.evaluation.evaluate_run.evaluate_run", evaluate_run)
    scores = run.evaluate("best", samples=800, inception_weights="weights.pth", data="moved")
    assert scores.to_dict("records") == [
        {
            "step": 6,
            "metric": "lenet_fid",
            "value": 60.5,
            "spread": 1.5,
            "real_images": 9.4,
            "better": "lower",
            "samples": 800,
        }
    ]
    assert (asked["which"], asked["samples"], asked["folder"]) == ("best", 800, run.folder)
    assert (asked["weights"], asked["data"]) == (Path("weights.pth"), Path("moved"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 1, "steps": 3}, "Give either epochs=1 or steps=3: one excludes the other"),
        (
            {"settings": {"optimizer.lrr": 1}},
            r"there is no such key \(optimizer.lrr=1\)",
        ),
        ({"settings": ["optimizer.lr=1"]}, r"settings: it should be a dictionary, such as \{"),
        ({"stop_when": ["collapsed"]}, r"should be 'collapsed,diverged' or the like, not \['coll"),
        ({"lr": 3}, r"optimizer.lr = 3: .* less than or equal to 1 \(lr=3\)"),
        ({"trackers": "comet"}, "There is no tracker 'comet'. Choose from: mlflow"),
        ({"data": "nowhere"}, "nowhere"),
        ({"start_from": "nobody"}, "There are no runs in"),
        ({"name": "last"}, "cannot be named 'last'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(dcgan.UserError, match=message) as caught:
        dcgan.train("digits", store=tmp_path, device="cpu", **arguments)
    assert not list(tmp_path.iterdir())
    assert caught.value._render_traceback_() == [f"{caught.type.__name__}: {caught.value}"]


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(dcgan.UserError, match="is a file"):
        dcgan.open("last", store=tmp_path / "runs")


def test_one_process_trains_one_thing_at_a_time(tmp_path: Path) -> None:
    with training._BUSY:
        for call in (dcgan.train, dcgan.resume, dcgan.sweep):
            with pytest.raises(dcgan.UserError, match="is training already, in another thread"):
                call("digits", store=tmp_path)
    assert not list(tmp_path.iterdir())


def test_several_processes_are_for_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(dcgan.UserError, match=r"torchrun .* -m dcgan train"):
        dcgan.train()


def test_ctrl_c_ends_a_training_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_at_the_first_step(self: Any, event: Event) -> None:
        if isinstance(event, Image) and event.path == FIXED_NOISE:
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(progress.TrainingDisplay, "show", stop_at_the_first_step)
    stopped = dcgan.train(
        "digits", epochs=2, store=tmp_path, stop_when="diverged,one_image", **ARGUMENTS
    )
    assert stopped.status == "interrupted"
    assert 0 < stopped.steps < 6
    shown = capsys.readouterr().err
    arguments = f'stop_when="not_finite,one_image", store="{tmp_path}"'
    assert f'Continue it with dcgan.resume("{stopped.id}", {arguments}).' in shown
    assert "6 steps at batch size 600, on cpu." in shown
    assert dcgan.resume(stopped, device="cpu").status == "finished"
    assert "epoch 2/2  step 6" in capsys.readouterr().err
    assert dcgan.resume(stopped, epochs=3, device="cpu", progress=False).steps == 9


@pytest.mark.parametrize("values", ["dcgan", 1e-3])
def test_one_value_is_no_list_of_its_letters(values: Any, tmp_path: Path) -> None:
    with pytest.raises(dcgan.UserError, match="it should be a list of values"):
        dcgan.sweep("digits", over={"init.scheme": values}, store=tmp_path, **ARGUMENTS)


def test_what_a_sweep_varies_is_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(dcgan.UserError, match=r"over: it should be a dictionary, such as \{"):
        dcgan.sweep("digits", over="optimizer.lr=1e-3", store=tmp_path, **ARGUMENTS)  # type: ignore[arg-type]


def test_a_word_is_one_tag_and_a_tag_is_kept_once(tmp_path: Path) -> None:
    for tags, kept in (("abc", ["abc"]), (["b", "a", "b"], ["b", "a"])):
        run = dcgan.train("digits", steps=1, tags=tags, store=tmp_path, **ARGUMENTS)
        assert run.fields["sys/tags"] == kept


def test_a_sweep_returns_runs_that_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(items: Any, executor: str, jobs: int, watch: Any) -> tuple[list[Any], bool]:
        results = [run_work_item(item) for item in items]
        watch()
        return results, True

    monkeypatch.setattr("dcgan.sweeping.session.run_work_items", here)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    runs = dcgan.sweep(
        "digits",
        over={"init.scheme": ["dcgan", "default"]},
        seeds=1,
        epochs=1,
        store=tmp_path,
        **ARGUMENTS,
    )
    assert len(runs.table) == len(run_folders(tmp_path)) == 2
    assert runs.compare(by="init.scheme", metrics="Gloss").labels == runs.compare().labels
    comparison = runs.compare()
    assert comparison.labels == ["init.scheme=dcgan", "init.scheme=default"]
    assert str(comparison).startswith("No claim can be made from so few runs.")
    page = comparison._repr_html_()
    assert page.count("<table>") == 3
    assert "No claim can be made from so few runs." in page
    said = capsys.readouterr().err
    assert "1 seed can show no difference in the 4 metrics" in said
    assert "2 of 2 runs finished" in said
