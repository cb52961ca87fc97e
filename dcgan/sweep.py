"""Sweeps: one recipe over the values of some keys, every arm with the same seeds.

A sweep is planned by pure functions, kept in the store as a folder from which it can be run
again, and run by joblib. Workers answer nothing while they train: how far each run is stands
in its journal.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import joblib
import tomli_w
import torch
from pydantic import Field, Strict, ValidationError

from dcgan.allocator import keep_memory
from dcgan.config import (
    Config,
    ConfigError,
    Override,
    Section,
    load_config,
    parse_value,
    recipe_names,
    to_toml,
)
from dcgan.data import ImageSet, Progress, load_images, silent
from dcgan.description import RECIPE_FILE
from dcgan.launch import Labels, Membership, check_batches, prepare, prepare_resume, run_job
from dcgan.signals import stop_requests
from tracking.backends.local import last_values, read_fields, run_folders
from tracking.errors import StoreError, UserError
from tracking.events import BATCH, EPOCH, SWEEP
from tracking.fields import to_text, utc
from tracking.files import replacing
from tracking.privacy import cleaner
from tracking.store import check_label, new_identifier, trash_run

SEEDS = 5
"""Of a sweep that does not say how many."""

SWEEP_FOLDER = "sweeps"
"""Within the store."""

Backend: TypeAlias = Literal["loky", "ray", "dask"]
Key: TypeAlias = tuple[str, int]
"""What tells the runs of a sweep apart: the label of the arm, and the seed."""

_SWEEP_FILE, _RECIPE, _STOP = "sweep.toml", "recipe.toml", "stop"
_LOOK_SECONDS = 0.5
_ORPHAN_SECONDS = 60.0
_AT_WORK = threading.Lock()


@dataclass(frozen=True)
class Factor:
    """A key of the recipe and the values that it takes, and what the user typed to say so."""

    key: str
    values: tuple[Any, ...]
    origin: str


@dataclass(frozen=True)
class Arm:
    """One value of each factor.

    label: such as `optimizer.lr=0.002, init.scheme=dcgan`. short: the values alone.
    """

    label: str
    short: str


@dataclass(frozen=True)
class Trial:
    """One run of a sweep."""

    arm: Arm
    seed: int
    config: Config
    name: str

    @property
    def key(self) -> Key:
        return (self.arm.label, self.seed)


@dataclass(frozen=True)
class Sweep:
    """All runs, arm after arm within each seed, so that pairs are complete early."""

    name: str
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]

    @property
    def arms(self) -> list[Arm]:
        return list(dict.fromkeys(trial.arm for trial in self.trials))


@dataclass(frozen=True)
class Definition:
    """What a sweep's file, or the name of a recipe, says of a sweep."""

    name: str
    description: str
    recipe: str
    factors: tuple[Factor, ...] = ()
    seeds: tuple[int, ...] = tuple(range(SEEDS))
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartedSweep:
    """A sweep that the store knows. id: such as `weight-init-x7k2m9`. folder: holds its files."""

    id: str
    folder: Path
    sweep: Sweep
    trackers: tuple[str, ...]

    @property
    def store(self) -> Path:
        return self.folder.parent.parent


class _SweepFile(Section):
    name: Annotated[str, Field(min_length=1, max_length=60)]
    description: str = ""
    recipe: str
    seeds: int | list[int] = SEEDS
    over: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field({})
    trackers: Annotated[tuple[str, ...], Strict(False)] = ()
    created: str = ""


def sweep_names() -> list[str]:
    """The sweeps that come with the project."""
    folder = resources.files("dcgan.sweeps")
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def read_definition(subject: str) -> Definition:
    """A sweep by name or by the path of its TOML file; a recipe is a sweep without factors.

    Raises ConfigError where there is neither, and for a file that is no sweep.
    """
    if subject in sweep_names():
        file = resources.files("dcgan.sweeps") / f"{subject}.toml"
        return _parse(file.read_text(encoding="utf-8"), f"the sweep {subject}", Path())
    if subject in recipe_names():
        return Definition(load_config(subject, []).name, "", subject)
    if not subject.endswith(".toml"):
        raise ConfigError(
            f"There is no sweep and no recipe {subject!r}.\n"
            f"The sweeps are: {', '.join(sweep_names())}; "
            f"the recipes are: {', '.join(recipe_names())}; or give the path of a .toml file."
        )
    try:
        text = Path(subject).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{subject} cannot be read: {reason}.") from error
    try:
        is_recipe = "dataset" in tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{subject} is not valid TOML: {error}.") from error
    if is_recipe:
        return Definition(load_config(subject, []).name, "", subject)
    return _parse(text, subject, Path(subject).parent)


def parse_factor(text: str) -> Factor:
    """`key=value,value`, each as `--set` takes it. Raises ConfigError where no value is given."""
    key, equals, values = text.partition("=")
    if not equals or not all(each.strip() for each in _split(values)):
        raise ConfigError(f"--over {text} lacks a value.\nWrite it as --over key=value,value.")
    parsed = tuple(parse_value(each.strip()) for each in _split(values))
    return Factor(key.strip(), parsed, f"--over {text}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0,3,14`. Raises ConfigError for what is no list of whole numbers."""
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--seed-list {text}: it should be whole numbers, such as --seed-list 0,3,14."
        ) from error


def plan_sweep(
    name: str,
    recipe: str,
    overrides: Sequence[Override],
    factors: Sequence[Factor],
    seeds: Sequence[int],
) -> Sweep:
    """Every combination of the factors' values with every seed.

    overrides: apply to all runs alike. Raises ConfigError where any of the runs could not
    start, where two would be the same, and where there are no seeds.
    """
    check_label(name)
    if not seeds:
        raise ConfigError("A sweep needs at least one seed: --seeds 5, or --seed-list 0,3,14.")
    if repeated := _repeated(seeds):
        raise ConfigError(f"The seed {repeated[0]} is given twice: its runs would be the same.")
    set_already = {override.key: override for override in overrides}
    if repeated := _repeated([factor.key for factor in factors]):
        raise ConfigError(f"{repeated[0]} is given twice: give all of its values in one --over.")
    for factor in factors:
        if factor.key == "seed":
            raise ConfigError("seed is no factor: every arm has the same seeds. Use --seed-list.")
        if other := set_already.get(factor.key):
            raise ConfigError(f"{factor.key} is set by {other.origin} and by {factor.origin}.")
        if repeated := _repeated(factor.values):
            value = to_text(repeated[0])
            raise ConfigError(f"{factor.key} = {value} is given twice ({factor.origin}).")
    trials = []
    for seed, values in itertools.product(seeds, itertools.product(*(f.values for f in factors))):
        chosen = [
            Override(factor.key, value, factor.origin)
            for factor, value in zip(factors, values, strict=True)
        ]
        config = load_config(
            recipe, [*overrides, *chosen, Override("seed", seed, f"the seed {seed}")]
        )
        arm = _arm(name, chosen)
        trials.append(Trial(arm, seed, config, f"{name}/{arm.short}/seed-{seed}"))
    for trial in trials:
        check_label(trial.name)
    return Sweep(name, tuple(factors), tuple(seeds), tuple(trials))


def load_data(
    sweep: Sweep, *, download: bool = False, progress: Progress = silent
) -> dict[Key, int]:
    """Decode all data sets into the cache, before several workers want them; check each run's.

    Returns how many images each run has. Raises DataError and ConfigError.
    """
    loaded: dict[str, ImageSet] = {}
    sizes = {}
    for trial in sweep.trials:
        dataset = trial.config.dataset
        name = dataset.model_dump_json()
        if name not in loaded:
            loaded[name] = load_images(dataset, download=download, progress=progress)
        sizes[trial.key] = loaded[name].card.size
        check_batches(trial.config, sizes[trial.key])
    return sizes


def keep_sweep(store: Path, sweep: Sweep, trackers: Sequence[str]) -> StartedSweep:
    """Write a sweep into the store, as a sweep's file and the recipe that it names.

    Raises StoreError where the store cannot be written to.
    """
    identifier = new_identifier(sweep.name)
    folder = store.absolute() / SWEEP_FOLDER / identifier
    tree = {
        "name": sweep.name,
        "created": utc(time.time_ns() // 1_000_000),
        "recipe": _RECIPE,
        "seeds": list(sweep.seeds),
        "trackers": list(trackers),
        "over": {factor.key: list(factor.values) for factor in sweep.factors},
    }
    # The recipe of one run serves all: the rest of them override what is its own.
    texts = {
        _RECIPE: _clean_toml(sweep.trials[0].config),
        _SWEEP_FILE: cleaner()(tomli_w.dumps(tree)),
    }
    try:
        folder.mkdir(parents=True)
        for file, text in texts.items():
            with replacing(folder / file) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {error.strerror}.\n"
            "Give a folder of your own with --store."
        ) from error
    return StartedSweep(identifier, folder, sweep, tuple(trackers))


def find_sweep(store: Path, reference: str, like: Sweep | None = None) -> StartedSweep:
    """The newest sweep of the store with an id or a name.

    like: it must consist of the same runs. Raises StoreError where there is none.
    """
    files = sorted(store.absolute().glob(f"{SWEEP_FOLDER}/*/{_SWEEP_FILE}"), key=_created)
    for file in reversed(files):
        definition = read_definition(str(file))
        if reference not in (file.parent.name, definition.name):
            continue
        sweep = plan_sweep(
            definition.name, definition.recipe, [], definition.factors, definition.seeds
        )
        if like is None or _runs_of(sweep) == _runs_of(like):
            return StartedSweep(file.parent.name, file.parent, sweep, definition.trackers)
    known = ", ".join(file.parent.name for file in files[-5:]) or "none"
    alike = " of these very runs" if like else ""
    raise StoreError(
        f"There is no sweep {reference!r}{alike} in {store} to resume. Sweeps here: {known}.\n"
        "Resume one by its name or id alone: dcgan sweep NAME --resume"
    )


@dataclass(frozen=True)
class Standing:
    """How far a run is, from its journal.

    state: a run's status, or `waiting`. step, epoch: done. time: of that step, milliseconds
    since the Unix epoch. losses: of G and D, means of the last epoch, or of the last batch
    where none is complete.
    """

    state: str = "waiting"
    folder: Path | None = None
    created: str = ""
    ended: str | None = None
    error: str | None = None
    step: int = 0
    epoch: int = 0
    time: float = 0.0
    losses: tuple[float, float] | None = None


def journal_reader(started: StartedSweep) -> Callable[[], dict[Key, Standing]]:
    """A function that reads how far each run of a sweep is; of a run begun twice the newer one."""
    keys: dict[Path, Key | None] = {}
    finished: dict[Path, Standing] = {}

    def read_one(folder: Path) -> Standing | None:
        """None for a run that is not of this sweep, or has yet to say so."""
        if folder in finished:
            return finished[folder]
        if keys.get(folder, ()) is None:
            return None
        fields = read_fields(folder)
        if "sys/recipe" not in fields:
            return None
        keys[folder] = None
        if fields.get(f"{SWEEP}/id") == started.id:
            keys[folder] = (str(fields[f"{SWEEP}/arm"]), int(str(fields["sys/seed"])))
            standing = _standing(folder, fields)
            if standing.state == "finished":
                finished[folder] = standing
            return standing
        return None

    def read() -> dict[Key, Standing]:
        found: dict[Key, Standing] = {}
        for folder in run_folders(started.store):
            standing, key = read_one(folder), keys.get(folder)
            if standing and key and (key not in found or found[key].created < standing.created):
                found[key] = standing
        return found

    return read


@dataclass(frozen=True)
class Order:
    """What a worker needs to train one run.

    resume: the id of the run that goes on. threads: of PyTorch. stop: the file that ends the
    sweep. owner: the process without which no worker goes on; None on a cluster.
    """

    trial: Trial
    labels: Labels
    store: Path
    device: str
    trackers: tuple[str, ...]
    threads: int
    arguments: tuple[str, ...]
    resume: str | None
    stop: Path
    owner: int | None


@dataclass(frozen=True)
class Answer:
    """What a worker says at the end of a run. failure: what went wrong, in a sentence."""

    key: Key
    failure: str | None = None
    warnings: tuple[str, ...] = ()


def missing_runs(started: StartedSweep) -> dict[Trial, str | None]:
    """The runs that a sweep lacks, each with the id of the run that goes on, if one does.

    Waits for workers that outlived a sweep that was killed: they stop by themselves. Raises
    StoreError where one does not.
    """
    read = journal_reader(started)
    deadline = time.monotonic() + _ORPHAN_SECONDS
    found = read()
    while running := [each for each in found.values() if each.state == "running"]:
        if time.monotonic() > deadline:
            names = ", ".join(str(each.folder and each.folder.name) for each in running)
            raise StoreError(f"Another process still trains runs of {started.id}: {names}.")
        time.sleep(_LOOK_SECONDS)
        found = read()
    missing: dict[Trial, str | None] = {}
    for trial in started.sweep.trials:
        standing = found.get(trial.key, Standing())
        if standing.state == "finished":
            continue
        missing[trial] = None
        if standing.state in ("interrupted", "killed") and standing.folder is not None:
            if (standing.folder / RECIPE_FILE).exists():
                missing[trial] = standing.folder.name
            else:  # it was killed before there was anything to go on from
                trash_run(standing.folder)
    return missing


def threads_a_job(jobs: int, backend: Backend) -> int:
    """So many that all jobs together use this machine once.

    A cluster gives each job one core; which machine that is on, nobody knows here.
    """
    return max(1, joblib.cpu_count() // jobs) if backend == "loky" else 1


def make_orders(
    started: StartedSweep,
    missing: Mapping[Trial, str | None],
    *,
    device: str,
    backend: Backend,
    threads: int,
    arguments: Sequence[str],
) -> list[Order]:
    """One order for each run that is missing."""
    name = started.sweep.name
    return [
        Order(
            trial=trial,
            labels=Labels(trial.name, name, (), Membership(name, started.id, trial.arm.label)),
            store=started.store,
            device=device,
            trackers=started.trackers,
            threads=threads,
            arguments=tuple(arguments),
            resume=resume,
            stop=started.folder / _STOP,
            owner=os.getpid() if backend == "loky" else None,
        )
        for trial, resume in missing.items()
    ]


def run_order(order: Order) -> Answer:
    """Train one run in a worker, to its end or until the sweep is told to stop.

    A run that fails is marked so in the store and answered for; nothing is raised.
    """
    with nullcontext() if order.owner is None else _AT_WORK:
        return _train(order)


def _train(order: Order) -> Answer:
    stopping = _stop_watch(order.stop, order.owner)
    key = order.trial.key
    if stopping():
        return Answer(key)
    keep_memory()
    torch.set_num_threads(order.threads)
    warnings: list[str] = []
    try:
        if order.resume:
            job = prepare_resume(order.store, order.resume, order.device)
        else:
            job = prepare(
                order.trial.config, order.device, order.store, order.trackers, order.labels
            )
        run_job(job, order.arguments, lambda event: None, warnings.append, stopping)
    except UserError as error:
        return Answer(key, str(error), tuple(warnings))
    except Exception as error:
        return Answer(key, f"{type(error).__name__}: {error}", tuple(warnings))
    return Answer(key, None, tuple(warnings))


def run_orders(
    work: Sequence[Order], backend: Backend, jobs: int, watch: Callable[[], None]
) -> tuple[list[Answer], bool]:
    """Run all orders by joblib; return what the workers answered, and whether all was done.

    watch: called about once a second. SIGINT or SIGTERM lets every worker write a checkpoint
    and stop; the second one ends the workers on the spot and raises KeyboardInterrupt.
    Raises UserError where a worker died.
    """
    stop = work[0].stop
    stop.unlink(missing_ok=True)
    answers: list[Answer] = []
    deaths: list[BaseException] = []

    def run() -> None:
        try:
            with _configured(backend, jobs, work[0].threads):
                # Small batches, or runs that wait would start after a stop or share a worker.
                parallel = joblib.Parallel(batch_size=1, pre_dispatch=jobs)
                answers.extend(parallel(joblib.delayed(run_order)(order) for order in work))
        except Exception as error:
            deaths.append(error)

    thread = threading.Thread(target=run, name="sweep", daemon=True)
    with stop_requests() as stopping:
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_LOOK_SECONDS)
                if stopping():
                    stop.touch()
                watch()
        except KeyboardInterrupt:
            if backend == "loky":
                _kill_workers()
            raise
    if deaths and not stopping():
        raise UserError(
            f"{' '.join(str(deaths[0]).split()).partition('. ')[0]}.\n"
            "If memory ran out, give fewer --jobs. Go on with the same command and --resume."
        ) from deaths[0]
    return answers, not stopping()


@contextmanager
def cluster(backend: Backend, address: str | None) -> Iterator[int]:
    """This machine, or a connection to a Ray or Dask cluster; yields how many cores it has.

    address: None for the cluster that the environment names, or else one on this machine.
    Raises UserError where the library is not installed or the cluster does not answer.
    """
    if backend == "loky":
        if address:
            raise UserError("--cluster needs --backend ray or --backend dask.")
        yield joblib.cpu_count()
        return
    opened = _ray(address) if backend == "ray" else _dask(address)
    with opened as cores:
        yield cores


@contextmanager
def _ray(address: str | None) -> Iterator[int]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise _not_installed("ray") from error
    try:
        ray.init(
            address=address,
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=False if address is None else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"Ray does not answer at {address or 'RAY_ADDRESS'}: {error}") from error
    register_ray()
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


@contextmanager
def _dask(address: str | None) -> Iterator[int]:
    try:
        from distributed import Client
    except ImportError as error:
        raise _not_installed("dask") from error
    try:
        client = Client(address, timeout=10) if address else Client(threads_per_worker=1)
    except (OSError, ValueError) as error:
        raise UserError(f"Dask does not answer at {address}: {error}") from error
    with client:
        yield sum(client.ncores().values())


def _not_installed(library: str) -> UserError:
    return UserError(
        f"--backend {library} needs {library}, which is not installed.\n"
        f"Install it with: pip install 'dcgan-lab[{library}]'"
    )


@contextmanager
def _configured(backend: Backend, jobs: int, threads: int) -> Iterator[None]:
    """joblib's own configuration; it is the thread's."""
    more: dict[str, Any] = {}
    if backend == "loky":
        more = {
            "inner_max_num_threads": threads,
            "initializer": _settle_worker,
            "initargs": (os.getpid(),),
        }
    with joblib.parallel_config(backend=backend, n_jobs=jobs, **more):
        yield


def _settle_worker(owner: int) -> None:
    """Leave signals to the sweep, and go when it is gone.

    A terminal sends signals to workers too, which would then take the next run. Those whose
    sweep was killed would wait for runs for ever.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def go_with_the_sweep() -> None:
        while os.getppid() == owner:
            time.sleep(_LOOK_SECONDS)
        with _AT_WORK:  # the run stops by itself, with a checkpoint
            os._exit(1)

    threading.Thread(target=go_with_the_sweep, daemon=True).start()


def _kill_workers() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


def _stop_watch(stop: Path, owner: int | None) -> Callable[[], bool]:
    """Tells whether a run should stop; the file system is asked twice a second, not each step."""
    next_look = 0.0

    def stopping() -> bool:
        nonlocal next_look
        if time.monotonic() < next_look:
            return False
        next_look = time.monotonic() + _LOOK_SECONDS
        orphaned = owner is not None and owner not in (os.getpid(), os.getppid())
        return orphaned or stop.exists()

    return stopping


def _standing(folder: Path, fields: Mapping[str, Any]) -> Standing:
    last = last_values(folder)
    names = [f"{each}/{loss}" for each in (EPOCH, BATCH) for loss in ("Gloss", "Dloss")]
    losses = [last[name] for name in names if name in last][:2]
    return Standing(
        state=str(fields.get("sys/status")),
        folder=folder,
        created=str(fields.get("sys/created")),
        ended=fields.get("sys/ended"),
        error=fields.get("sys/error"),
        step=int(last.get("step", 0)),
        epoch=int(last.get(f"{EPOCH}/number", 0)),
        time=last.get("time", 0.0),
        losses=(losses[0], losses[1]) if losses else None,
    )


def _parse(text: str, where: str, folder: Path) -> Definition:
    try:
        file = _SweepFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}.") from error
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']} ({where})."
            for each in error.errors()
        ]
        raise ConfigError("\n".join(problems)) from error
    return Definition(
        name=file.name,
        description=file.description,
        recipe=str(folder / file.recipe) if file.recipe.endswith(".toml") else file.recipe,
        factors=tuple(Factor(key, tuple(each), where) for key, each in file.over.items()),
        seeds=tuple(range(file.seeds) if isinstance(file.seeds, int) else file.seeds),
        trackers=file.trackers,
    )


def _arm(name: str, chosen: Sequence[Override]) -> Arm:
    if not chosen:
        return Arm(name, "all")
    clean = cleaner()  # as the journal has it, by which the runs are found again
    return Arm(
        label=clean(", ".join(f"{each.key}={to_text(each.value)}" for each in chosen)),
        short=clean(",".join(to_text(each.value) for each in chosen)),
    )


def _split(text: str) -> list[str]:
    """At commas, but not within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for each in text:
        if quote:
            quote = "" if each == quote else quote
        elif each in "\"'":
            quote = each
        else:
            depth += (each in "[{") - (each in "]}")
        if each == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def _repeated(values: Sequence[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value in values[:place]]


def _clean_toml(config: Config) -> str:
    return cleaner()(to_toml(config))


def _runs_of(sweep: Sweep) -> list[tuple[str, str]]:
    return [(trial.name, _clean_toml(trial.config)) for trial in sweep.trials]


def _created(file: Path) -> str:
    return str(tomllib.loads(file.read_text(encoding="utf-8")).get("created"))
