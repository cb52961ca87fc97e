"""`dcgan.sweep`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.api.arguments import as_toml, chosen_trackers, data_path, dictionary
from dcgan.api.training import exclusive, overrides_of
from dcgan.cpu.allocator import keep_memory
from dcgan.store_dir import dcgan_call, store_dir
from tracking.errors import UserError
from tracking.wording import plural

if TYPE_CHECKING:
    from analysis.runs import Runs
    from dcgan.api.progress import Display
    from dcgan.choices import Executor
    from dcgan.sweeping.session import SweepSession

_OVER = 'over={"optimizer.lr": [2e-4, 2e-3]}'


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
    trackers: str | Sequence[str] | None = None,
    resume: bool = False,
    stop_when: str | None = None,
    jobs: int | None = None,
    backend: Executor = "loky",
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
        seeds: The number of seeds per arm, counted from 0, or the seeds themselves.
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
        StoreError: There is no such sweep to resume, another process trains it, or no run of it
            has begun.
        UserError: A worker died, or this process is training already.
    """
    from analysis import load

    folder = store_dir(store)
    with exclusive("sweep"):
        keep_memory()
        from dcgan.api.progress import choose_display, showing_images_on
        from dcgan.jobs.health import parse_stop_when
        from dcgan.sweeping.plan import Factor
        from dcgan.sweeping.request import Machines, SweepRequest
        from dcgan.sweeping.session import sweep_session

        display = choose_display(progress)
        overrides = overrides_of(settings, epochs=epochs, steps=steps, batch_size=batch_size)
        request = SweepRequest(
            subject=str(subject),
            name=name,
            factors=tuple(
                Factor(key, _values(key, values), f"over {key}")
                for key, values in dictionary("over", over, '{"optimizer.lr": [2e-4, 2e-3]}')
            ),
            seeds=_seeds(seeds),
            overrides=tuple(overrides),
            data=data_path(data),
            data_flag="data=",
            resume=resume,
            trackers=tuple(chosen_trackers(trackers)),
        )
        with (
            showing_images_on(display),
            sweep_session(
                request,
                folder,
                ["dcgan.sweep", str(subject)],
                machines=Machines(executor=backend, cluster=cluster, jobs=jobs, device=device),
                download=download,
                stop_when=parse_stop_when(stop_when),
            ) as session,
        ):
            _train(session, display, stop_when)
    return load(session.stored.store).of_sweep(session.stored.id)


def _values(key: str, values: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise UserError(f"over {key}: it should be a list of values, such as [{values!r}, ...].")
    return tuple(map(as_toml, values))


def _seeds(seeds: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if seeds is None:
        return None
    plain = as_toml(seeds)
    if isinstance(plain, str) or not isinstance(plain, int | Iterable):
        raise UserError(
            f"seeds = {seeds!r}: it should be the number of seeds, or the seeds: [0, 3, 14]."
        )
    return tuple(range(plain) if isinstance(plain, int) else map(as_toml, plain))


def _train(session: SweepSession, display: Display, stop_when: str | None) -> None:
    from analysis.comparison.seeds import few_seeds_warning
    from dcgan.sweeping.progress import progress_reader
    from dcgan.sweeping.request import evaluated_spaces

    plan, sweep_id = session.stored.sweep, session.stored.id
    spaces = evaluated_spaces(plan)
    if few := few_seeds_warning(len(plan.seeds), len(plan.arms), spaces, _OVER):
        display.message(few)
    total = len(plan.runs)
    read = progress_reader(session.stored)

    def states() -> Counter[str]:
        return Counter(progress.state for progress in read().values())

    def watch() -> None:
        counts = states()
        display.line(f"{sweep_id}: {_describe_states(counts, total)}", counts["finished"] / total)

    with display.clearing():
        outcome = session.train(watch)
    for failure, runs in outcome.failures.items():
        display.message(f"{plural(len(runs), 'run')} failed: {failure}")
    for warning in outcome.warnings:
        display.message(warning)
    # A sweep does not keep the rules.
    rules = () if stop_when is None else (f"stop_when={json.dumps(stop_when)}",)
    call = dcgan_call("sweep", sweep_id, "resume=True", *rules, store=session.stored.store)
    display.end(
        f"{sweep_id}: {_describe_states(states(), total)}."
        + ("" if outcome.is_complete else f" Finish it with {call}.")
    )


def _describe_states(counts: Counter[str], total: int) -> str:
    others = [f"{counts[state]} {state}" for state in counts if state != "finished"]
    return ", ".join([f"{counts['finished']} of {plural(total, 'run')} finished", *others])
