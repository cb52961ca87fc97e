"""Trains the runs by which the rules of health and their advice are judged, into one store.

    python benchmarks/health_runs.py --data-root DATA --store STORE [--device cuda] [--jobs 14]
        [--only labelled|advice] [--match TEXT] [--limit N] [--seconds 220] [--pack FOLDER]

DATA holds `mnist`, `photographs`, and `cifar10` as a folder or as cifar10.tar.xz. The runs are
declared in health/labelled.toml and health/advice.toml. What has finished is not trained again, so
the same command goes on where it was cut off. Of the labelled runs low seeds come first, so that
what there is by then can be used; of the advice one arm after another, as only whole ones are
compared. A run that fails is noted in STORE/.health/failed and the others go on. `--seconds`
ends no run that has begun, so one that is stopped for a while is not lost.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
DEFINITIONS = HERE / "health"
MARKS = ".health"
PART_BYTES = 15 << 20
CHEAPEST = ("digits", "mnist")
_BROKEN_DEVICE = 3
"""The exit status of a worker whose CUDA context is lost: a new process takes its place."""


@dataclass(frozen=True)
class HealthRun:
    """One run.

    Attributes:
        name: Such as `labelled/rate-1e-2/digits/seed-1`.
        group: `labelled` or `advice`.
        recipe: The recipe that it starts from.
        settings: Keys and values that differ.
        seed: The run's seed.
        tags: The kind and the set, or the failure and the arm.
        transform: As `image_sets.transformed` takes it.
        fault: As `faults.fault` takes it.
        arm: The arm of an advice run: `broken`, or the remedy.
        seeds: How many seeds an advice run's arm has.
    """

    name: str
    group: str
    recipe: str
    settings: Mapping[str, Any]
    seed: int
    tags: tuple[str, ...]
    transform: str | None = None
    fault: str | None = None
    arm: str | None = None
    seeds: int = 0
    data: str | None = None
    held_out: str | None = None
    images: int = 36
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", self.name.replace("/", "_").replace(" ", "-"))


def read(name: str) -> dict[str, Any]:
    """One of the definitions."""
    return tomllib.loads((DEFINITIONS / f"{name}.toml").read_text(encoding="utf-8"))


def labelled_runs() -> Iterator[HealthRun]:
    """The runs that judge the rules."""
    definition = read("labelled")
    for kind in definition["kinds"]:
        for set_name, seed in itertools.product(kind["sets"], range(kind["seeds"])):
            images = definition["sets"][set_name]
            yield HealthRun(
                name=f"labelled/{kind['name']}/{set_name}/seed-{seed}",
                group="labelled",
                recipe=images["recipe"],
                settings={**images["settings"], **kind.get("settings", {})},
                seed=seed,
                tags=(kind["name"], set_name),
                transform=kind.get("transform"),
                fault=kind.get("fault"),
                data=kind.get("data", {}).get(set_name, images.get("data")),
                images=images["images"],
            )


def advice_runs() -> Iterator[HealthRun]:
    """The runs that measure what helps."""
    definition, sets = read("advice"), read("labelled")["sets"]
    for failure in definition["failures"]:
        images = sets[failure["set"]]
        arms = {"broken": {}, **failure["remedies"]}
        for arm, seed in itertools.product(arms, range(definition["seeds"])):
            yield HealthRun(
                name=f"advice/{failure['name']}/{arm}/seed-{seed}",
                group="advice",
                recipe=images["recipe"],
                settings={**images["settings"], **failure["broken"], **arms[arm]},
                seed=seed,
                tags=(failure["name"], arm),
                arm=arm,
                seeds=definition["seeds"],
                data=failure.get("data", images.get("data")),
                held_out=failure.get("held_out"),
                images=images["images"],
            )


def train(run: HealthRun, store: Path, data: Path, device: str, most_steps: int) -> Path:
    """Train one run, evaluate it if it is one of the advice, and drop its checkpoints."""
    from health.faults import fault
    from health.image_sets import transformed

    from dcgan.config.loading import Override, load_config
    from dcgan.jobs.prepare import RunMetadata, SweepMembership, prepare
    from dcgan.jobs.run import run_job
    from dcgan.run_folder import CHECKPOINT_DIR

    settings = dict(run.settings)
    if run.data is not None:
        settings |= {"dataset.name": "folder", "dataset.path": str(data / run.data)}
        settings["dataset.split"] = "train"
    if run.held_out is not None:
        settings["evaluation.held_out"] = str(data / run.held_out)
    if run.group == "advice":
        settings |= {
            "evaluation.every_epochs": 1_000_000,
            "evaluation.samples": 500,
            "evaluation.inception": False,
        }
    steps = min(settings["training.steps"], most_steps)
    settings |= {
        "training.steps": steps,
        "seed": run.seed,
        "images.count": run.images,
        "images.every_steps": max(1, steps // (4 if run.group == "labelled" else 1)),
        "checkpoints.every_epochs": 1_000_000,
    }
    overrides = [Override(key, value, "health_runs") for key, value in settings.items()]
    config = load_config(run.recipe, overrides)
    sweep = None
    if run.arm is not None:
        name = f"health-{run.tags[0]}"
        sweep = SweepMembership(name, name, run.arm, run.seeds)
    metadata = RunMetadata(run.name, run.group, run.tags, sweep)
    job = prepare(config, device, store, (), metadata)
    job = replace(job, images=transformed(job.images, run.transform))
    warnings: list[str] = []
    with fault(run.fault):
        result = run_job(
            job,
            sys.argv,
            listen=lambda event: None,
            warn=warnings.append,
            stopping=lambda: False,
        )
    shutil.rmtree(result.folder / CHECKPOINT_DIR, ignore_errors=True)
    _drop_pictures(result.folder, first=run.group == "advice")
    for warning in warnings:
        if "evaluation" in warning:
            print(f"{run.name}: {warning}", flush=True)
    return result.folder


def _drop_pictures(folder: Path, *, first: bool) -> None:
    """Remove the pictures that no rule looks at, as all must be copied from a lent machine."""
    from tracking.events import DATASET, FIXED_NOISE
    from tracking.run_files import image_files

    for (path, step), file in image_files(folder).items():
        if path == DATASET or (first and path == FIXED_NOISE and step == 0):
            file.unlink()


def work(options: argparse.Namespace, runs: Sequence[HealthRun]) -> int:
    """Train what no other worker has claimed, until nothing is left or the time is up."""
    import torch

    from dcgan.cpu.allocator import keep_memory

    keep_memory()
    torch.set_num_threads(options.threads)
    marks = options.store / MARKS
    for run in runs:
        if time.time() > options.until:
            break
        try:
            (marks / "claimed" / run.mark).touch(exist_ok=False)
        except FileExistsError:
            continue
        began = time.monotonic()
        try:
            folder = train(
                run, options.store, options.image_sets, options.device, options.most_steps
            )
        except Exception as error:
            (marks / "failed" / run.mark).write_text(traceback.format_exc(), encoding="utf-8")
            print(f"FAILED {run.name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            if "CUDA" in str(error) or "cuda" in type(error).__name__:
                return _BROKEN_DEVICE
        else:
            (marks / "done" / run.mark).write_text(folder.name, encoding="utf-8")
            print(f"{time.monotonic() - began:5.1f} s {run.name}", flush=True)
    return 0


def prepare_features(runs: Sequence[HealthRun], image_sets: Path, device: str) -> None:
    """Train the classifiers and decode the images once, not in every worker at the same time."""
    from dcgan.config.schema import Dataset
    from dcgan.data.loading import load_images
    from dcgan.evaluation.evaluator import make_reference
    from dcgan.evaluation.features.feature_space import feature_spaces
    from dcgan.training.device import choose_device

    chosen = choose_device(device)
    for name in sorted({run.data or "" for run in runs if run.group == "advice"}):
        dataset = Dataset(name="digits", image_size=32, channels=1)
        if name:
            path = str(image_sets / name)
            dataset = Dataset(name="folder", path=path, image_size=32, channels=1)
        images = load_images(dataset)
        spaces = feature_spaces(images, chosen, use_inception=False)
        make_reference(images, None, spaces, 500)
        print(f"prepared {name or 'digits'}: {spaces[0].description}", flush=True)


def pack(store: Path, folder: Path) -> None:
    """The store as xz-compressed tar, in parts that can be copied: `cat part-* | tar xJ`."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "health-runs.tar.xz"
    subprocess.run(
        ["tar", "-C", str(store), "-I", "xz -3 -T0", "-cf", str(archive), "."], check=True
    )
    subprocess.run(
        ["split", "-b", str(PART_BYTES), "-a", "1", "-d", str(archive), str(folder / "part-")],
        check=True,
    )
    archive.unlink()
    sizes = [
        f"{file.name} {file.stat().st_size >> 10} KiB" for file in sorted(folder.glob("part-*"))
    ]
    print("packed:", ", ".join(sizes), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", choices=["labelled", "advice"])
    parser.add_argument("--match", default="", help="only runs whose name has this pattern")
    parser.add_argument("--limit", type=int, help="the first N runs that are not done")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no run after so long")
    parser.add_argument("--most-steps", type=int, default=1_000_000, help="to try the script")
    parser.add_argument("--pack", type=Path, help="folder for a copy in parts of 15 MiB")
    parser.add_argument("--again", action="store_true", help="try failed runs once more")
    parser.add_argument("--list", action="store_true", help="print the runs and train nothing")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    began = time.time()
    options.until = options.until or began + options.seconds
    options.image_sets = options.store / MARKS / "data"
    options.threads = max(1, (os.cpu_count() or 1) // options.jobs)
    runs = [run for run in (*labelled_runs(), *advice_runs()) if re.search(options.match, run.name)]
    runs = [run for run in runs if options.only in (None, run.group)]
    runs.sort(key=_rank)
    marks = options.store / MARKS
    runs = [run for run in runs if not (marks / "done" / run.mark).exists()][: options.limit]
    if options.list:
        print(*(run.name for run in runs), f"{len(runs)} runs", sep="\n")
        return
    if options.worker:
        sys.exit(work(options, runs))
    from health.image_sets import write_image_sets

    for name in ("claimed", "done", "failed"):
        (marks / name).mkdir(parents=True, exist_ok=True)
    # What was claimed and not done was cut off, and its half a run would be in the way.
    shutil.rmtree(marks / "claimed")
    (marks / "claimed").mkdir()
    if options.again:
        shutil.rmtree(marks / "failed")
        (marks / "failed").mkdir()
    for mark in ("done", "failed"):
        for file in (marks / mark).iterdir():
            (marks / "claimed" / file.name).touch()
    _remove_unfinished(options.store)
    write_image_sets(options.data_root, options.image_sets)
    print(f"{len(runs)} runs; ready after {time.time() - began:.0f} s", flush=True)
    command = [sys.executable, __file__, *sys.argv[1:], "--worker", "--until", str(options.until)]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "PYTHONPATH": f"{HERE.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    workers = [subprocess.Popen(command, env=environment) for _ in range(options.jobs)]
    if any(run.group == "advice" for run in runs):
        prepare_features(runs, options.image_sets, options.device)
    while workers:
        time.sleep(0.2)
        for worker in list(workers):
            status = worker.poll()
            if status is None:
                continue
            workers.remove(worker)
            if status != 0 and time.time() < options.until:
                print(f"a worker ended with status {status}; another takes its place", flush=True)
                workers.append(subprocess.Popen(command, env=environment))
    done = len(list((marks / "done").iterdir()))
    failed = sorted(file.name for file in (marks / "failed").iterdir())
    print(f"{done} done, {len(failed)} failed, {time.time() - began:.0f} s: {failed}", flush=True)
    if options.pack is not None:
        shutil.rmtree(options.image_sets)
        pack(options.store, options.pack)


def _rank(run: HealthRun) -> tuple[Any, ...]:
    """Every kind once before any of them twice, the cheapest first; advice arm by arm."""
    if run.group == "labelled":
        return 0, run.seed, run.tags[1] not in CHEAPEST, run.settings["training.steps"]
    failures = read("advice")["failures"]
    names = [failure["name"] for failure in failures]
    arms = ["broken", *failures[names.index(run.tags[0])]["remedies"]]
    return 1, names.index(run.tags[0]), arms.index(run.tags[1]), run.seed


def _remove_unfinished(store: Path) -> None:
    """Runs that were cut off; each is trained again from its start."""
    done = {file.read_text(encoding="utf-8") for file in (store / MARKS / "done").iterdir()}
    for folder in store.iterdir():
        if folder.is_dir() and folder.name not in done | {MARKS}:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
