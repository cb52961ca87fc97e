"""`dcgan.sweep`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dcgan.api.run import store_folder
from dcgan.api.training import chosen_trackers, exclusive, overrides_of
from dcgan.cpu.allocator import keep_memory
from tracking.errors import UserError
from tracking.events import SWEEP
from tracking.wording import plural

if TYPE_CHECKING:
    from analysis.runs import Runs
    from dcgan.api.progress import Display
    from dcgan.sweeping.storage import StoredSweep
    from dcgan.sweeping.worker import WorkResult


def sweep(
    subject: str | Path,
    *,
    over: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | Sequence[int] | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    data: str | Path | None = None,
    download: bool = False,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    trackers: str | Sequence[str] = (),
    resume: bool = False,
    stop_when: str | None = None,
    jobs: int | None = None,
    backend: Literal["loky", "ray", "dask"] = "loky",
    cluster: str | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    progress: bool = True,
) -> Runs:
    """Train every combination of some values, each with the same seeds, as `dcgan sweep` does.

    Ctrl-C lets every run save a checkpoint; `resume=True` finishes the sweep.

    Args:
        subject: Name of a sweep or a recipe, or path of a .toml file with either.
        over: Keys of the recipe and the values that they take.
        seeds: How many seeds per arm, counted from 0; or which.
        epochs: Epochs of each run.
        steps: Training steps of each run, instead of epochs.
        batch_size: Images per step.
        data: Folder or file with the recipe's data set, or with other images.
        download: Whether torchvision may download missing data.
        settings: Any other keys of the recipe.
        name: Name of the sweep, and of the group of its runs.
        trackers: `mlflow`, `neptune`, `tensorboard`, `wandb` or a tracker of another package,
            besides the local journal.
        resume: Whether to finish a sweep that was stopped.
        stop_when: Rules of health that end a run early, such as `collapsed,diverged`.
        jobs: Runs to train at once; by default one per core, or one per GPU.
        backend: `loky` for this machine, or a `ray` or `dask` cluster.
        cluster: The address of the cluster's head.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ...
        store: The folder of all runs; DCGAN_STORE or `runs` if omitted.
        progress: Whether to show how many runs have ended.

    Returns:
        The sweep's runs, as `analysis.load` gives them: `sweep(...).compare()` compares the arms.

    Raises:
        ConfigError: A setting is not valid, two runs would be the same, or there are no seeds.
        DataError: The images cannot be loaded.
        StoreError: There is no such sweep to resume, or another process trains it.
        UserError: No run has begun, a worker died, or this process is training already.
    """
    folder = store_folder(store)
    with exclusive("sweep"):
        keep_memory()
        from dcgan.api.progress import choose_display, showing_images_on
        from dcgan.jobs.health import parse_stop_when
        from dcgan.sweeping.datasets import load_data
        from dcgan.sweeping.executor import cluster as connected
        from dcgan.sweeping.plan import Factor
        from dcgan.sweeping.request import SweepRequest, find_or_plan
        from dcgan.sweeping.storage import save_sweep, sweep_lock

        if jobs is not None and jobs < 1:
            raise UserError(f"jobs={jobs}: it should be 1 or more.")
        rules = parse_stop_when(stop_when)
        display = choose_display(progress)
        shortcuts = {
            "epochs": ("training.epochs", epochs),
            "steps": ("training.steps", steps),
            "batch_size": ("training.batch_size", batch_size),
        }
        request = SweepRequest(
            subject=str(subject),
            name=name,
            factors=tuple(
                Factor(key, tuple(values), f"over {key}") for key, values in (over or {}).items()
            ),
            seeds=_seeds(seeds),
            overrides=tuple(overrides_of(settings, shortcuts)),
            data=None if data is None else Path(data),
            data_flag="data=",
            resume=resume,
            trackers=tuple(chosen_trackers(trackers)),
        )
        plan, stored_sweep = find_or_plan(request, folder)
        with showing_images_on(display):
            load_data(plan, download=download)
        with connected(backend, cluster) as cores:
            if stored_sweep is None:
                stored_sweep = save_sweep(folder, plan, request.trackers)
            with sweep_lock(stored_sweep):
                _train(
                    stored_sweep,
                    display,
                    backend=backend,
                    jobs=jobs,
                    cores=cores,
                    device=device,
                    stop_when=rules,
                )
    return _runs_of(stored_sweep)


def _seeds(seeds: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if seeds is None:
        return None
    return tuple(range(seeds) if isinstance(seeds, int) else seeds)


def _train(
    stored_sweep: StoredSweep,
    display: Display,
    *,
    backend: Literal["loky", "ray", "dask"],
    jobs: int | None,
    cores: int,
    device: str,
    stop_when: tuple[str, ...],
) -> None:
    from analysis.comparison.seeds import warning_of_few_seeds
    from dcgan.sweeping.executor import run_work_items
    from dcgan.sweeping.progress import missing_runs, progress_reader
    from dcgan.sweeping.request import evaluated_spaces, share_out
    from dcgan.training.device import cards, choose_device

    plan = stored_sweep.sweep
    if few := warning_of_few_seeds(len(plan.seeds), len(plan.arms), evaluated_spaces(plan)):
        display.message(few)
    total = len(plan.runs)
    read = progress_reader(stored_sweep)

    def states() -> Counter[str]:
        return Counter(progress.state for progress in read().values())

    def watch() -> None:
        counts = states()
        display.line(f"{stored_sweep.id}: {_words(counts, total)}", counts["finished"] / total)

    missing = missing_runs(stored_sweep)
    on_card = choose_device(device).type != "cpu" and backend == "loky"
    most = jobs or (len(cards(device)) if on_card else cores)
    results: list[WorkResult] = []
    ended = True
    if missing:
        workers = min(most, len(missing))
        items = share_out(
            stored_sweep,
            missing,
            executor=backend,
            jobs=workers,
            device=device,
            arguments=["dcgan.sweep", stored_sweep.sweep.name],
            stop_when=stop_when,
        )
        results, ended = run_work_items(items, backend, workers, watch)
    for failure, count in Counter(each.failure for each in results if each.failure).items():
        display.message(f"{plural(count, 'run')} failed: {failure}")
    for warning in dict.fromkeys(text for each in results for text in each.warnings):
        display.message(warning)
    display.end(
        f"{stored_sweep.id}: {_words(states(), total)}."
        + ("" if ended else f' Finish it with dcgan.sweep("{stored_sweep.id}", resume=True).')
    )


def _words(counts: Counter[str], total: int) -> str:
    others = [f"{counts[state]} {state}" for state in counts if state != "finished"]
    return ", ".join([f"{counts['finished']} of {plural(total, 'run')} finished", *others])


def _runs_of(stored_sweep: StoredSweep) -> Runs:
    """Raises UserError if no run has begun."""
    from analysis import load

    runs = load(stored_sweep.store)
    table = runs.table
    own = table[table[f"{SWEEP}/id"].eq(stored_sweep.id)] if f"{SWEEP}/id" in table else table[:0]
    if own.empty:
        raise UserError(f"No run of the sweep {stored_sweep.id} has begun.")
    return replace(runs, table=own)
