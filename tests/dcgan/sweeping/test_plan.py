"""Sweeps before anything runs: planned, read from files, kept in the store, refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from analysis.comparison.measures import DEFAULTS
from analysis.comparison.power import min_pairs
from dcgan.cli import app
from dcgan.config.loading import parse_override
from dcgan.config.schema import Config
from dcgan.sweeping.definition import read_definition, sweep_names
from dcgan.sweeping.plan import Factor, parse_factor, plan_sweep
from dcgan.sweeping.request import Machines, SweepRequest, evaluated_spaces, find_or_plan
from dcgan.sweeping.session import sweep_session
from dcgan.sweeping.storage import find_sweep, save_sweep, sweep_lock
from dcgan.training import loop, step
from tests.support.sweep_process import refused
from tracking.errors import UserError

LR = Factor("optimizer.lr", (2e-4, 2e-3), "--over optimizer.lr=2e-4,2e-3")
SCHEME = Factor("init.scheme", ("dcgan", "default"), "--over init.scheme=dcgan,default")


@pytest.mark.parametrize("name", sweep_names())
def test_the_sweeps_of_the_project_have_enough_seeds_to_show_something(name: str):
    definition = read_definition(name)
    arms = math.prod(len(factor.values) for factor in definition.factors)
    assert len(definition.seeds) >= min_pairs((arms - 1) * len(DEFAULTS))


@pytest.mark.parametrize(
    ("settings", "has_weights", "spaces"),
    [
        ((), True, 0),
        (("evaluation.every_epochs=2",), False, 1),
        (("evaluation.every_epochs=2",), True, 2),
        (("evaluation.every_epochs=2", "evaluation.inception=false"), True, 1),
    ],
)
def test_a_plan_knows_in_how_many_feature_spaces_its_runs_are_evaluated(
    settings: tuple[str, ...], has_weights: bool, spaces: int, monkeypatch: pytest.MonkeyPatch
):
    found = Path("weights.pth") if has_weights else None
    monkeypatch.setattr("dcgan.evaluation.features.inception.find_weights", lambda: found)
    plan = plan_sweep("pair", "digits", [parse_override(text) for text in settings], [LR], [0])
    assert evaluated_spaces(plan) == spaces


def test_a_plan_is_the_full_cross_product_with_the_same_seeds():
    sweep = plan_sweep("pair", "digits", [], [LR, SCHEME], [3, 5, 8])
    assert len(sweep.runs) == 2 * 2 * 3
    assert [arm.label for arm in sweep.arms] == [
        "optimizer.lr=0.0002, init.scheme=dcgan",
        "optimizer.lr=0.0002, init.scheme=default",
        "optimizer.lr=0.002, init.scheme=dcgan",
        "optimizer.lr=0.002, init.scheme=default",
    ]
    for arm in sweep.arms:
        assert [trial.seed for trial in sweep.runs if trial.arm == arm] == [3, 5, 8]
    for trial in sweep.runs:
        assert trial.config.seed == trial.seed
        assert f"optimizer.lr={trial.config.optimizer.lr}" in trial.arm.label
        assert trial.arm.label.endswith(f"init.scheme={trial.config.init.scheme}")
    assert sweep.runs[-1].name == "pair/0.002,default/seed-8"


def test_settings_apply_to_all_runs_and_values_are_read_as_set_reads_them():
    betas = parse_factor("optimizer.betas=[0.5, 0.9],[0.0, 0.99]")
    sweep = plan_sweep("b", "digits", [parse_override("training.steps=7")], [betas], [0])
    assert [trial.config.optimizer.betas for trial in sweep.runs] == [(0.5, 0.9), (0.0, 0.99)]
    assert {trial.config.training.steps for trial in sweep.runs} == {7}
    assert parse_factor("init.scheme=dcgan, default").values == ("dcgan", "default")


def test_a_sweep_whose_arms_would_all_be_alike_is_refused():
    rates = [parse_override(f"optimizer.{each}_lr=1e-4") for each in ("generator", "discriminator")]
    with pytest.raises(UserError, match=r"optimizer.lr .*--over.* has no effect"):
        plan_sweep("rates", "digits", rates, [LR], [0])
    ttur = plan_sweep("ttur", "digits", rates[:1], [LR], [0])
    both = [trial.config.optimizer.of("discriminator").lr for trial in ttur.runs]
    assert both == [2e-4, 2e-3]


def test_the_recipe_need_only_be_valid_with_the_settings_and_factors_of_the_sweep(tmp_path: Path):
    recipe, images = tmp_path / "mine.toml", tmp_path / "images"
    recipe.write_text('name = "no length"\n[dataset]\nname = "digits"\n')
    lengths = parse_factor("training.steps=3,4")
    for data in (None, images):
        request = SweepRequest(subject=str(recipe), factors=(lengths,), data=data)
        plan, _ = find_or_plan(request, tmp_path)
        assert plan.name == "no length"
        assert [trial.config.training.steps for trial in plan.runs if trial.seed == 0] == [3, 4]
    request = SweepRequest(subject=str(recipe), overrides=(parse_override("training.steps=5"),))
    assert find_or_plan(request, tmp_path)[0].runs[0].config.training.steps == 5
    averages = parse_factor("stabilisers.generator_ema=0.9,0.99")
    shown = (parse_override("images.weights=ema"),)
    request = SweepRequest(subject="digits", factors=(averages,), overrides=shown, data=images)
    assert {trial.config.dataset.path for trial in find_or_plan(request, tmp_path)[0].runs} == {
        str(images)
    }


def test_a_kept_sweep_means_the_same_files_wherever_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = ("dataset.name=folder", "evaluation.held_out=held", "init.weights=g.pth")
    images = Factor("dataset.path", ("faces", "~/faces", "/faces"), "--over dataset.path")
    sweep = plan_sweep(
        "faces", "digits", [parse_override(each) for each in settings], [images], [3]
    )
    started = save_sweep(tmp_path, sweep, ())
    monkeypatch.chdir("elsewhere")
    found = find_sweep(tmp_path, started.id)
    paths = [str(tmp_path / "faces"), str(Path.home() / "faces"), "/faces"]
    for plan in (sweep, found.sweep):
        assert [trial.arm.short for trial in plan.runs] == ["faces", "~/faces", "/faces"]
        assert [trial.config.dataset.path for trial in plan.runs] == paths
        assert plan.runs[0].config.evaluation.held_out == str(tmp_path / "held")
        assert plan.runs[0].config.init.weights == (str(tmp_path / "g.pth"),)


def test_the_trackers_that_a_file_names_are_used_unless_others_are_asked_for(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.toml"

    def trackers_of_the_sweep(*asked_for: str) -> tuple[str, ...]:
        request = SweepRequest(subject=str(file), trackers=asked_for)
        with sweep_session(request, tmp_path, [], machines=Machines(device="cpu")) as session:
            return session.stored.trackers

    file.write_text('name = "own"\nrecipe = "digits"\ntrackers = ["tensorboard"]\n')
    assert trackers_of_the_sweep() == ("tensorboard",)
    assert trackers_of_the_sweep("mlflow") == ("mlflow",)
    file.write_text('name = "own"\nrecipe = "digits"\ntrackers = ["tensorbord"]\n')
    with pytest.raises(UserError, match="tensorboard"):
        trackers_of_the_sweep()


def test_a_factor_without_values_is_refused() -> None:
    with pytest.raises(UserError, match=r"optimizer.lr \(over optimizer.lr\) has no values"):
        plan_sweep(
            "none", "digits", [], [SCHEME, Factor("optimizer.lr", (), "over optimizer.lr")], [0]
        )


def test_arms_that_are_the_same_under_two_labels_are_refused() -> None:
    steps = parse_factor("training.steps=10,20")
    with pytest.raises(UserError, match=r"steps=10.*epochs=1 and .*steps=20.*epochs=1 are the sam"):
        plan_sweep("both", "digits", [], [steps, parse_factor("training.epochs=1,2")], [0])
    sizes = parse_factor("dataset.image_size=32,[32,32]")
    with pytest.raises(UserError, match="are the same"):
        plan_sweep("sizes", "digits", [], [sizes], [0])
    epochs = parse_override("training.epochs=5")
    with pytest.raises(
        UserError, match=r"training\.epochs is set by --set training\.epochs=5, and"
    ):
        plan_sweep("steps", "digits", [epochs], [steps], [0])
    assert len(plan_sweep("steps", "digits", [], [steps], [0]).arms) == 2


@pytest.mark.parametrize("value", [None, np.float32(1e-3)])
def test_a_value_that_a_sweep_file_cannot_hold_is_refused(value: object) -> None:
    factor = Factor("optimizer.generator_lr", (1e-4, value), "over optimizer.generator_lr")
    with pytest.raises(UserError, match=r"generator_lr\) cannot be kept in the sweep's file"):
        plan_sweep("rates", "digits", [], [factor], [0])


def test_an_arm_is_named_as_the_journal_has_it():
    home = Path.home()
    folders = Factor("dataset.path", (f"{home}/a", f"{home}/b"), "--over")
    overrides = [parse_override("dataset.name=folder")]
    sweep = plan_sweep("homes", "digits", overrides, [folders], [0])
    assert [arm.label for arm in sweep.arms] == ["dataset.path=~/a", "dataset.path=~/b"]


def test_the_sweeps_that_come_with_the_project_can_be_planned():
    factors = {}
    for name in sweep_names():
        definition = read_definition(name)
        assert definition.name == name
        plan_sweep(name, definition.recipe, [], definition.factors, definition.seeds)
        factors[name] = (definition.recipe, *definition.factors[0].values)
    assert factors == {
        "weight-init": ("mnist-ablation", "dcgan", "default"),
        "learning-rate": ("astro", 1e-4, 2e-4, 5e-4, 1e-3, 2e-3),
    }
    listed = CliRunner().invoke(app, ["sweep", "--list"], env={"COLUMNS": "80"}).output
    assert all(name in listed for name in sweep_names())
    assert max(map(len, listed.splitlines())) <= 80


def test_a_kept_sweep_is_found_again_and_is_a_sweep_file(tmp_path: Path):
    overrides = [parse_override("training.steps=7")]
    sweep = plan_sweep("pair", "digits", overrides, [LR, SCHEME], [3, 5])
    started = save_sweep(tmp_path, sweep, ["mlflow"])
    save_sweep(tmp_path, plan_sweep("pair", "digits", overrides, [LR], [3]), [])
    for found in (
        find_sweep(tmp_path, started.id),
        find_sweep(tmp_path, "pair", same_runs_as=sweep),
    ):
        assert found.id == started.id
        assert found.trackers == ("mlflow",)
        assert [(each.key, each.config) for each in found.sweep.runs] == [
            (each.key, each.config) for each in sweep.runs
        ]
    assert find_sweep(tmp_path, "pair").id != started.id
    other = plan_sweep("pair", "digits", [], [LR], [4])
    with pytest.raises(UserError, match="with exactly these runs"):
        find_sweep(tmp_path, "pair", same_runs_as=other)


def test_arms_of_a_seed_see_the_same_images_and_latents(
    monkeypatch: pytest.MonkeyPatch,
    small_config: Callable[..., Config],
    pixels: torch.Tensor,
):
    seen: list[list[torch.Tensor]] = []

    def spy(name: str) -> None:
        real = getattr(step, name)

        def spying(*arguments: object) -> torch.Tensor:
            value: torch.Tensor = real(*arguments)
            seen[-1].append(value.clone())
            return value

        for module in (loop, step):
            monkeypatch.setattr(module, name, spying)

    spy("to_unit_range")
    spy("draw_latents")
    own = small_config().model_dump(mode="json", exclude_none=True)
    overrides = [
        parse_override(f"{section}.{key}={json.dumps(value)}")
        for section, values in own.items()
        if isinstance(values, dict) and section in ("network", "training", "images")
        for key, value in values.items()
    ]
    sweep = plan_sweep("pair", "digits", overrides, [SCHEME], [0, 1])
    for trial in sweep.runs:
        seen.append([])
        loop.train(
            trial.config,
            pixels,
            device=torch.device("cpu"),
            emit=lambda event: None,
            save=lambda *a, **k: None,
        )
    (first, second), (third, fourth) = seen[:2], seen[2:]
    for ours, theirs in ((first, second), (third, fourth)):
        assert len(ours) == len(theirs) > 10
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, third, strict=True))


def test_a_sweep_of_a_long_name_is_found_again(tmp_path: Path) -> None:
    name = "weight initialisation of the generator alone, on all 70,000 digits"
    sweep = plan_sweep(name, "digits", [], [LR], [0])
    started = save_sweep(tmp_path, sweep, ())
    for found in (find_sweep(tmp_path, name), find_sweep(tmp_path, started.id, sweep)):
        assert found.id == started.id


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name = ", b'name = "x"'])
def test_a_damaged_sweep_does_not_hide_the_others(tmp_path: Path, content: bytes) -> None:
    saved = save_sweep(tmp_path, plan_sweep("pair", "digits", [], [LR], [0]), ())
    damaged = save_sweep(tmp_path, plan_sweep("other", "digits", [], [LR], [0]), ())
    (damaged.folder / "sweep.toml").write_bytes(content)
    assert find_sweep(tmp_path, "pair").id == saved.id
    with pytest.raises(UserError, match=damaged.id):
        find_sweep(tmp_path, damaged.id)


def test_mistakes_are_told_before_anything_starts(tmp_path: Path):
    store = tmp_path / "runs"
    (tmp_path / "own.toml").write_text('name = "own"\nrecipe = "digits"\nover = 3\n')
    (tmp_path / "far.toml").write_text(
        'name = "far"\nrecipe = "digits"\n[over]\n"optimizer.lr" = [1e-3, 7]\n'
    )
    mistakes = {
        ("nothing",): "The sweeps are: learning-rate, weight-init; the recipes are:",
        ("digits", "--over", "optimizer.lrr=1,2"): "Did you mean optimizer.lr?",
        ("digits", "--over", "optimizer.lr=1e-3,7"): "less than or equal to 1",
        ("digits", "--over", "init.scheme=dcgan,none"): "'dcgan', 'glorot' or 'default'",
        ("digits", "--over", "optimizer.lr=2e-4,0.0002"): "optimizer.lr = 0.0002 is given twice",
        ("digits", "--over", "seed=1,2"): "Choose those of the sweep",
        ("digits", "--over", "optimizer.lr"): "--over key=value,value",
        ("digits", "--over", "optimizer.lr=1e-3,"): "lacks a value",
        (
            "digits",
            "--over",
            "optimizer.lr=1e-3",
            "--over",
            "optimizer.lr=1e-4",
        ): "give all of its values together",
        ("digits", "--over", "training.epochs=1,2", "--epochs", "3"): "is set by --epochs 3 and",
        ("digits", "--over", "training.batch_size=8,5000"): "only 1,797 images",
        ("digits", "--seeds", "0"): "at least one seed",
        ("digits", "--seed-list", "1,1"): "The seed 1 is given twice",
        ("digits", "--seed-list", "1,x"): "whole numbers",
        ("digits", "--seeds", "2", "--seed-list", "1"): "either --seeds or --seed-list",
        ("digits", "--seed-list", "-1"): "greater than or equal to 0",
        ("digits", "--jobs", "0"): "1 or more",
        ("digits", "--cluster", "here:1"): "the backend ray or dask",
        ("digits", "--device", "toaster"): "no such device",
        ("weight-init", "--resume"): "no sweep 'weight-init'",
        (str(tmp_path / "own.toml"),): "over: Input should be a valid dictionary",
        (str(tmp_path / "far.toml"),): "optimizer.lr = 7",
        (str(tmp_path / "none.toml"),): "cannot be read",
    }
    for arguments, message in mistakes.items():
        assert message in refused(*arguments, "--store", str(store)), arguments
    assert not store.exists()


def test_a_sweep_that_is_being_trained_is_not_trained_beside_it(tmp_path: Path) -> None:
    stored = save_sweep(tmp_path, plan_sweep("pair", "digits", [], [LR], [1]), ())
    second = find_sweep(tmp_path, "pair")
    refusal = pytest.raises(UserError, match="trained by another process")
    with sweep_lock(stored), refusal, sweep_lock(second):
        raise AssertionError("two processes would train the same runs")
    with sweep_lock(stored):
        pass


def test_a_setting_needs_a_key() -> None:
    for text in ("=1", " = 1", "optimizer.lr"):
        with pytest.raises(UserError, match=r"--set .* has no (key|value)"):
            parse_override(text)
