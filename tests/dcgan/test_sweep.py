"""Sweeps: planned, run by workers, stopped, killed, resumed, and on clusters."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import pytest
import torch
from typer.testing import CliRunner

from dcgan import engine
from dcgan.cli import app
from dcgan.config import Config, parse_override
from dcgan.sweep import (
    Factor,
    find_sweep,
    keep_sweep,
    parse_factor,
    plan_sweep,
    read_definition,
    sweep_names,
    threads_a_job,
)
from tracking.backends.local import read_fields, read_steps, run_folders
from tracking.errors import UserError

TINY = [
    part
    for setting in (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "images.count=4",
        "training.batch_size=128",
    )
    for part in ("--set", setting)
]
LR = Factor("optimizer.lr", (2e-4, 2e-3), "--over optimizer.lr=2e-4,2e-3")
SCHEME = Factor("init.scheme", ("dcgan", "default"), "--over init.scheme=dcgan,default")


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """`dcgan sweep` as the leader of a process group, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "dcgan", "sweep", *arguments],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
        start_new_session=True,
    )


def finish(running: subprocess.Popen[str], code: int = 0) -> str:
    output, errors = running.communicate(timeout=200)
    assert running.returncode == code, output + errors
    return output


def refused(*arguments: str) -> str:
    """The error that the command ends with: on one screen, without a traceback."""
    result = CliRunner().invoke(app, ["sweep", *arguments], env={"COLUMNS": "120"})
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) <= 24
    return re.sub(r"[\s│]+", " ", result.output)


def runs_by_status(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for folder in run_folders(store):
        found.setdefault(str(read_fields(folder)["sys/status"]), []).append(folder)
    return found


def keys(folders: list[Path]) -> list[tuple[object, object]]:
    """Arm and seed of each run."""
    fields = [read_fields(folder) for folder in folders]
    return sorted((each["sys/sweep/arm"], each["sys/seed"]) for each in fields)


def wait_for_step(store: Path, step: int, running: subprocess.Popen[str], runs: int = 1) -> None:
    """Until so many runs have come so far."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        far = [
            folder
            for folder in run_folders(store)
            if len((folder / "metrics.jsonl").read_bytes().splitlines()) > step
        ]
        if len(far) >= runs:
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step}: {running.communicate()}")


def test_a_plan_is_the_full_cross_product_with_the_same_seeds():
    sweep = plan_sweep("pair", "digits", [], [LR, SCHEME], [3, 5, 8])
    assert len(sweep.trials) == 2 * 2 * 3
    assert [arm.label for arm in sweep.arms] == [
        "optimizer.lr=0.0002, init.scheme=dcgan",
        "optimizer.lr=0.0002, init.scheme=default",
        "optimizer.lr=0.002, init.scheme=dcgan",
        "optimizer.lr=0.002, init.scheme=default",
    ]
    for arm in sweep.arms:
        assert [trial.seed for trial in sweep.trials if trial.arm == arm] == [3, 5, 8]
    for trial in sweep.trials:
        assert trial.config.seed == trial.seed
        assert f"optimizer.lr={trial.config.optimizer.lr}" in trial.arm.label
        assert trial.arm.label.endswith(f"init.scheme={trial.config.init.scheme}")
    assert sweep.trials[-1].name == "pair/0.002,default/seed-8"


def test_settings_apply_to_all_runs_and_values_are_read_as_set_reads_them():
    betas = parse_factor("optimizer.betas=[0.5, 0.9],[0.0, 0.99]")
    sweep = plan_sweep("b", "digits", [parse_override("training.steps=7")], [betas], [0])
    assert [trial.config.optimizer.betas for trial in sweep.trials] == [(0.5, 0.9), (0.0, 0.99)]
    assert {trial.config.training.steps for trial in sweep.trials} == {7}
    assert parse_factor("init.scheme=dcgan, default").values == ("dcgan", "default")


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
    started = keep_sweep(tmp_path, sweep, ["mlflow"])
    keep_sweep(tmp_path, plan_sweep("pair", "digits", overrides, [LR], [3]), [])
    for found in (find_sweep(tmp_path, started.id), find_sweep(tmp_path, "pair", like=sweep)):
        assert found.id == started.id
        assert found.trackers == ("mlflow",)
        assert [(each.key, each.config) for each in found.sweep.trials] == [
            (each.key, each.config) for each in sweep.trials
        ]
    assert find_sweep(tmp_path, "pair").id != started.id
    other = plan_sweep("pair", "digits", [], [LR], [4])
    with pytest.raises(UserError, match="of these very runs"):
        find_sweep(tmp_path, "pair", like=other)


def test_arms_of_a_seed_see_the_same_images_and_latents(
    monkeypatch: pytest.MonkeyPatch,
    small_config: Callable[..., Config],
    pixels: torch.Tensor,
):
    seen: list[list[torch.Tensor]] = []

    def spy(name: str) -> None:
        real = getattr(engine, name)

        def spying(*arguments: object) -> torch.Tensor:
            value: torch.Tensor = real(*arguments)
            seen[-1].append(value.clone())
            return value

        monkeypatch.setattr(engine, name, spying)

    spy("scale")
    spy("draw_latents")
    own = small_config().model_dump(mode="json", exclude_none=True)
    overrides = [
        parse_override(f"{section}.{key}={json.dumps(value)}")
        for section, values in own.items()
        if isinstance(values, dict) and section in ("network", "training", "images")
        for key, value in values.items()
    ]
    sweep = plan_sweep("pair", "digits", overrides, [SCHEME], [0, 1])
    for trial in sweep.trials:
        seen.append([])
        engine.train(
            trial.config, pixels, torch.device("cpu"), lambda event: None, lambda *a, **k: None
        )
    (first, second), (third, fourth) = seen[:2], seen[2:]
    for ours, theirs in ((first, second), (third, fourth)):
        assert len(ours) == len(theirs) > 10
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, third, strict=True))


def test_the_jobs_use_this_machine_once():
    cores = joblib.cpu_count()
    for jobs in range(1, 2 * cores + 1):
        threads = threads_a_job(jobs, "loky")
        assert threads >= 1
        assert threads * jobs <= max(cores, jobs)
        assert (threads + 1) * jobs > cores
        assert threads_a_job(jobs, "ray") == 1


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
        ("digits", "--over", "seed=1,2"): "Use --seed-list",
        ("digits", "--over", "optimizer.lr"): "--over key=value,value",
        ("digits", "--over", "optimizer.lr=1e-3,"): "lacks a value",
        ("digits", "--over", "optimizer.lr=1e-3", "--over", "optimizer.lr=1e-4"): "in one --over",
        ("digits", "--over", "training.epochs=1,2", "--epochs", "3"): "is set by --epochs 3 and",
        ("digits", "--over", "training.batch_size=8,5000"): "only 1797 images",
        ("digits", "--seeds", "0"): "at least one seed",
        ("digits", "--seed-list", "1,1"): "The seed 1 is given twice",
        ("digits", "--seed-list", "1,x"): "whole numbers",
        ("digits", "--seeds", "2", "--seed-list", "1"): "either --seeds or --seed-list",
        ("digits", "--seed-list", "-1"): "greater than or equal to 0",
        ("digits", "--jobs", "0"): "1 or more",
        ("digits", "--cluster", "here:1"): "--backend ray",
        ("digits", "--device", "toaster"): "no such device",
        ("weight-init", "--resume"): "no sweep 'weight-init'",
        (str(tmp_path / "own.toml"),): "over: Input should be a valid dictionary",
        (str(tmp_path / "far.toml"),): "optimizer.lr = 7",
        (str(tmp_path / "none.toml"),): "cannot be read",
    }
    for arguments, message in mistakes.items():
        assert message in refused(*arguments, "--store", str(store)), arguments
    assert not store.exists()


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for backend, module in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(sys.modules, module, None)
        message = refused("digits", "--backend", backend, "--store", str(tmp_path / "runs"))
        assert f"pip install 'dcgan-lab[{backend}]'" in message
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a finished sweep of two arms and two seeds, and what it printed."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "rates.toml").write_text(
        'name = "rates"\nrecipe = "digits"\nseeds = [1, 4]\n[over]\n"optimizer.lr" = [1e-4, 1e-3]\n'
    )
    options = ("--epochs", "1", "--jobs", "4", "--tracker", "mlflow")
    return folder / "runs", finish(start("rates.toml", *options, *TINY, folder=folder))


def test_every_run_says_what_it_is_part_of(tracked: tuple[Path, str]):
    store, _ = tracked
    folders = run_folders(store)
    arms = ("optimizer.lr=0.0001", "optimizer.lr=0.001")
    assert keys(folders) == sorted((arm, seed) for arm in arms for seed in (1, 4))
    fields = [read_fields(folder) for folder in folders]
    (identifier,) = {each["sys/sweep/id"] for each in fields}
    assert str(identifier).startswith("rates-")
    for each in fields:
        assert each["sys/status"] == "finished"
        assert each["sys/sweep/name"] == each["sys/group"] == "rates"
        assert each["sys/sweep/arm"] == f"optimizer.lr={each['config/optimizer/lr']}"
        value = str(each["sys/sweep/arm"]).partition("=")[2]
        assert each["sys/name"] == f"rates/{value}/seed-{each['sys/seed']}"


def test_runs_of_a_seed_pair_up_bit_for_bit_until_the_factor_tells(tracked: tuple[Path, str]):
    store, _ = tracked
    losses = {
        keys([folder])[0]: read_steps(folder)["training/batch/D_x"] for folder in run_folders(store)
    }
    low, high = "optimizer.lr=0.0001", "optimizer.lr=0.001"
    for seed in (1, 4):
        assert losses[low, seed][0] == losses[high, seed][0]
        assert losses[low, seed][3] != losses[high, seed][3]
    assert losses[low, 1][0] != losses[low, 4][0]


def test_a_sweep_ends_with_a_row_an_arm_and_how_to_compare_its_arms(tracked: tuple[Path, str]):
    store, output = tracked
    (identifier,) = {read_fields(folder)["sys/sweep/id"] for folder in run_folders(store)}
    assert re.search(r"optimizer\.lr=0\.0001 +2/2 +\d\.\d{3} ± \d\.\d{3} +\d\.\d{3} ± ", output)
    assert f"dcgan compare --sweep {identifier}" in output
    assert f"dcgan report --sweep {identifier}" in output
    again = finish(start("rates.toml", "--epochs", "1", *TINY, "--resume", folder=store.parent))
    assert "4 runs, 0 of them to do" in again
    assert len(run_folders(store)) == 4


def test_mlflow_has_one_parent_of_all_runs(tracked: tuple[Path, str]):
    from mlflow import MlflowClient

    from tracking.backends.mlflow import load_runs, tracking_uri

    store, _ = tracked
    client = MlflowClient(tracking_uri(store))
    experiment = client.get_experiment_by_name("dcgan").experiment_id
    found = client.search_runs([experiment])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert parent.info.run_name == "rates"
    assert parent.info.status == "FINISHED"
    assert sorted(load_runs(store).index) == [folder.name for folder in run_folders(store)]


def test_a_run_that_fails_fails_alone_and_is_started_again(tmp_path: Path):
    # Batch norm in a fully connected layer cannot make a grid of one image.
    settings = ("--set", "network.family=dense", "--set", "dataset.image_size=28")
    output = finish(
        start(
            "digits", "--over", "images.count=4,1", "--seeds", "2", "--steps", "3",
            "--batch-size", "128", *settings, folder=tmp_path,
        ),
        code=1,
    )  # fmt: skip
    store = tmp_path / "runs"
    before = runs_by_status(store)
    assert keys(before["finished"]) == [("images.count=4", 0), ("images.count=4", 1)]
    assert keys(before["failed"]) == [("images.count=1", 0), ("images.count=1", 1)]
    assert re.search(r"images\.count=4 +2/2 +\d", output)
    assert re.search(r"images\.count=1 +0/2 +2", output)
    assert "ValueError: Expected more than 1 value per channel" in output
    again = finish(start("digits", "--resume", folder=tmp_path), code=1)
    assert "4 runs, 2 of them to do" in again
    after = runs_by_status(store)
    assert after["finished"] == before["finished"]
    assert keys(after["failed"]) == sorted(keys(before["failed"]) * 2)


SLOW = ("--over", "optimizer.lr=2e-4,2e-3", "--seeds", "2", "--epochs", "8", *TINY)


def assert_whole_without_duplicates(store: Path) -> None:
    """One finished run an arm and seed, with each of its 120 steps once."""
    found = runs_by_status(store)
    assert list(found) == ["finished"]
    arms = ("optimizer.lr=0.0002", "optimizer.lr=0.002")
    assert keys(found["finished"]) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    for folder in found["finished"]:
        lines = [
            json.loads(line)["step"]
            for line in (folder / "metrics.jsonl").read_text().splitlines()
            if "training/batch/Gloss" in line
        ]
        assert lines == list(range(1, 8 * 15 + 1))


def test_a_sweep_that_is_killed_goes_on_without_duplicates(tmp_path: Path):
    store = tmp_path / "runs"
    running = start("digits", *SLOW, "--jobs", "2", folder=tmp_path)
    wait_for_step(store, 20, running, runs=2)
    running.kill()
    running.communicate()
    output = finish(start("digits", *SLOW, "--jobs", "2", "--resume", folder=tmp_path))
    assert "4 runs, 4 of them to do" in output
    assert_whole_without_duplicates(store)


def test_ctrl_c_lets_every_run_write_a_checkpoint(tmp_path: Path):
    store = tmp_path / "runs"
    running = start("digits", *SLOW, "--jobs", "2", folder=tmp_path)
    wait_for_step(store, 20, running, runs=2)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    output = finish(running, code=130)
    resumption = re.search(r"dcgan sweep (digits-\w+) --resume", output)
    assert resumption
    stopped = runs_by_status(store)
    assert list(stopped) == ["interrupted"]
    assert len(stopped["interrupted"]) == 2  # those that waited have not begun
    for folder in stopped["interrupted"]:
        last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]
        assert (folder / f"checkpoints/step-{last:08d}.pt").exists()
    finish(start("digits", "--resume", "--jobs", "2", folder=tmp_path))
    assert_whole_without_duplicates(store)


def at_once(folders: list[Path]) -> int:
    """How many runs were at work at the same time, at most."""
    moments = []
    for folder in folders:
        fields = read_fields(folder)
        moments += [(str(fields["sys/created"]), 1), (str(fields["sys/ended"]), -1)]
    working = peak = 0
    for _, change in sorted(moments):
        working += change
        peak = max(peak, working)
    return peak


@pytest.fixture
def ray_address() -> Iterator[str]:
    """A Ray cluster of two nodes with a core each: two runs at once need both."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def dask_address() -> Iterator[str]:
    """A Dask cluster of two workers with a thread each."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_cluster_runs_the_same_sweep(
    tmp_path: Path, backend: str, request: pytest.FixtureRequest
):
    address = request.getfixturevalue(f"{backend}_address")
    options = ("--seeds", "2", "--epochs", "4", *TINY, "--backend", backend, "--cluster", address)
    running = start("digits", "--over", "init.scheme=dcgan,default", *options, folder=tmp_path)
    output = finish(running)
    assert "2 at a time, each on 1 core." in output
    found = runs_by_status(tmp_path / "runs")
    assert list(found) == ["finished"]
    arms = ("init.scheme=dcgan", "init.scheme=default")
    assert keys(found["finished"]) == sorted((arm, seed) for arm in arms for seed in (0, 1))
    assert at_once(found["finished"]) == 2
