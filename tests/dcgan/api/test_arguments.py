"""What people give to `import dcgan`: NumPy's numbers, `~`, other stores, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
from dcgan.api import sweeps
from dcgan.api.training import overrides_of, references
from dcgan.config.loading import load_config
from dcgan.sweeping.request import SweepRequest, find_or_plan
from tests.support.drawn_run import random_values, write_run

TINY: dict[str, Any] = {
    "network.generator_features": 4,
    "network.discriminator_features": 4,
    "network.latent_size": 8,
}
ARGUMENTS: dict[str, Any] = {"settings": TINY, "batch_size": 600, "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    """A run of one step, with the seed 0."""
    store = tmp_path_factory.mktemp("arguments") / "runs"
    return dcgan.train("digits", steps=1, seed=0, store=store, **ARGUMENTS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory, which is not the working directory."""
    folder = tmp_path / "home"
    (tmp_path / "work").mkdir()
    folder.mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


def test_numpys_numbers_are_numbers() -> None:
    overrides = overrides_of(
        {"network.latent_size": np.int64(8), "optimizer.betas": np.array([0.25, 0.5])},
        seed=np.int64(3),
        lr=np.float64(1e-3),
    )
    config = load_config("digits", overrides)
    assert (config.seed, config.network.latent_size) == (3, 8)
    assert (config.optimizer.lr, config.optimizer.betas) == (1e-3, (0.25, 0.5))
    values = sweeps._values("training.batch_size", np.array([16, 32]))  # type: ignore[arg-type]
    assert values == (16, 32)
    assert all(type(value) is int for value in values)
    for seeds in (2, np.int64(2), range(2), np.arange(2), [np.int64(0), 1]):
        assert sweeps._seeds(seeds) == (0, 1)  # type: ignore[arg-type]
    with pytest.raises(dcgan.UserError, match=r"seeds = 2.5: it should be the number of seeds"):
        sweeps._seeds(2.5)  # type: ignore[arg-type]


def test_a_home_directory_is_meant_in_every_path(
    run: dcgan.Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = "~/mine.toml"
    (home / "mine.toml").write_text((run.folder / "artifacts" / "recipe.toml").read_text())
    trained = dcgan.train(recipe, steps=1, store="~/runs", device="cpu")
    assert trained.folder.parent == home / "runs"
    assert dcgan.open(store="~/runs") == trained
    assert list(dcgan.runs("~/runs").table.index) == [trained.id]
    sweep = SweepRequest(subject=recipe, seeds=(0,))
    assert find_or_plan(sweep, home / "runs")[0].runs[0].config.network.latent_size == 8
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "dcgan.evaluation.evaluate_run.evaluate_run",
        lambda folder, **arguments: asked.update(arguments) or [],
    )
    trained.evaluate(inception_weights="~/weights.pth")
    assert asked["weights"] == home / "weights.pth"
    monkeypatch.setattr("analysis.report.save_report", lambda content, path, kind: [path])
    monkeypatch.setattr("analysis.report.compose", lambda runs, generated: None)
    assert trained.report("~/report.md") == home / "report.md"
    assert list(Path.cwd().iterdir()) == []


def test_the_store_of_the_environment_may_be_in_the_home_directory(
    run: dcgan.Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "runs").symlink_to(run.folder.parent)
    monkeypatch.setenv("DCGAN_STORE", "~/runs")
    assert dcgan.open().id == run.id


def test_a_run_stays_where_it_is_when_the_working_directory_changes(
    run: dcgan.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(run.folder.parents[1])
    opened = dcgan.open(run.id, store="runs")
    assert f">runs/{run.id}<" in opened._repr_html_()
    monkeypatch.chdir(tmp_path)
    assert (opened.status, opened.steps) == ("finished", 1)
    assert opened == run
    assert f">{run.folder}<" in opened._repr_html_()


def test_the_summary_has_the_seed_even_if_it_is_0(run: dcgan.Run) -> None:
    assert ">seed</th><td style='text-align:left'>0</td>" in run._repr_html_()


def test_weights_of_a_run_of_another_store(run: dcgan.Run, tmp_path: Path) -> None:
    assert references([run], run.folder.parent) == [run.id]
    other = dcgan.train("digits", steps=1, start_from=run, store=tmp_path, **ARGUMENTS)
    [weights] = other.config.init.weights or ()
    assert weights == str(run.folder / "checkpoints" / "step-00000001.pt")
    assert other.fields["sys/initial_weights/networks"] == ["generator", "discriminator"]


def test_a_loss_that_is_not_a_number_is_not_a_loss_that_is_missing(tmp_path: Path) -> None:
    values = random_values(250)
    values[199:, :2] = np.nan
    diverged = dcgan.Run(write_run(tmp_path / "run", values))
    losses = diverged.losses()
    assert losses.index.tolist() == list(range(1, 251))
    assert losses.index[losses["generator"].isna()].tolist() == list(range(200, 251))
    assert diverged.losses("epoch").index.tolist() == [100, 200]


def test_a_run_that_was_deleted_has_no_report(tmp_path: Path) -> None:
    write_run(tmp_path / "other", random_values(3))
    with pytest.raises(dcgan.UserError, match="The run gone cannot be read: it was deleted"):
        dcgan.Run(tmp_path / "gone").report(tmp_path / "report.md")


def test_a_run_without_steps_has_an_empty_table_of_losses(tmp_path: Path) -> None:
    losses = dcgan.Run(write_run(tmp_path / "run", random_values(0))).losses()
    assert losses.columns.tolist() == ["generator", "discriminator"]
    assert losses.empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"weight_init": "xavier"},
            r"init.scheme = 'xavier': it should be 'dcgan', 'glorot' or 'default'",
        ),
        ({"name": 5}, "5 cannot be a name, a group or a tag: use plain text"),
    ],
)
def test_a_value_of_another_type_is_a_mistake_of_the_user(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(dcgan.UserError, match=message):
        dcgan.train("digits", store=tmp_path, device="cpu", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "call",
    [
        lambda store: dcgan.train(device="toaster", store=store),
        lambda store: dcgan.train(batch_size=5_000, device="cpu", store=store),
        lambda store: dcgan.train(stop_when="bored", store=store),
        lambda store: dcgan.sweep("digits", over={"optimizer.lr": [1e-3]}, seeds=0, store=store),
        lambda store: dcgan.sweep("digits", over={"seed": [1, 2]}, store=store),
        lambda store: dcgan.sweep("digits", seeds=1, cluster="here", store=store),
    ],
)
def test_a_message_names_no_option_of_a_command(call: Any, tmp_path: Path) -> None:
    with pytest.raises(dcgan.UserError) as caught:
        call(tmp_path)
    assert "--" not in str(caught.value)


def test_a_message_on_missing_data_names_the_argument_too(tmp_path: Path) -> None:
    with pytest.raises(dcgan.UserError, match=r"data= in Python.*download=True"):
        dcgan.train(
            "mnist-softmax", settings={"dataset.path": str(tmp_path)}, device="cpu", store=tmp_path
        )


def test_a_run_is_named_by_text_and_a_seed_is_one_of_pytorchs(run: dcgan.Run) -> None:
    named: Any = run.folder
    for call in (dcgan.open, dcgan.resume):
        with pytest.raises(dcgan.UserError, match="is no run: use an id, the start of an id"):
            call(named, store=run.folder.parent)
    for seed in (2**63, -1):
        with pytest.raises(dcgan.UserError, match=f"seed = {seed}: it should be 0 or more, and be"):
            run.sample(1, seed=seed)
    seed = np.int64(7)
    assert np.array_equal(run.sample(1, seed=seed), run.sample(1, seed=7))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tags": 3}, r'tags: it should be a word or a list of words, such as \["first try"\]'),
        ({"tags": ["good", 1]}, r"tags: .*not \['good', 1\]"),
        ({"trackers": 5}, r'trackers: .*such as \["mlflow"\], not 5'),
        ({"data": ""}, "data: it is empty. Give a folder or a file of images"),
    ],
)
def test_words_and_paths_of_another_kind(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(dcgan.UserError, match=message):
        dcgan.train("digits", device="cpu", store=tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_none_is_no_tag_and_no_tracker(tmp_path: Path) -> None:
    run = dcgan.train(steps=1, tags=None, trackers=None, store=tmp_path, **ARGUMENTS)
    assert run.status == "finished"
