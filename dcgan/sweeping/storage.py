"""Sweeps in the store: each has a folder from which it can be resumed or run again."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from dcgan.config.loading import to_toml
from dcgan.config.schema import Config, ConfigError
from dcgan.sweeping.definition import read_definition
from dcgan.sweeping.plan import Sweep, plan_sweep
from tracking.atomic_files import atomic_write
from tracking.clock import now_ms
from tracking.errors import StoreError, reason_not_written
from tracking.fields import to_iso8601
from tracking.lock import locked
from tracking.redaction import make_redactor
from tracking.store import new_identifier

SWEEP_FOLDER = "sweeps"
"""The folder of all sweeps, within the store."""

_SWEEP_FILE, _RECIPE = "sweep.toml", "recipe.toml"


@dataclass(frozen=True)
class StoredSweep:
    """A sweep in the store.

    Attributes:
        id: Such as `weight-init-x7k2m9`.
        folder: The folder of its files.
        sweep: The planned sweep.
        trackers: The backends besides the local journal.
    """

    id: str
    folder: Path
    sweep: Sweep
    trackers: tuple[str, ...]

    @property
    def store(self) -> Path:
        """The folder of all runs."""
        return self.folder.parent.parent


def save_sweep(store: Path, sweep: Sweep, trackers: Sequence[str]) -> StoredSweep:
    """Write a sweep into the store: a sweep file, and the recipe that it names.

    Args:
        store: The folder of all runs.
        sweep: The planned sweep.
        trackers: The backends besides the local journal.

    Raises:
        StoreError: The store cannot be written to.
    """
    identifier = new_identifier(sweep.name)
    folder = store.absolute() / SWEEP_FOLDER / identifier
    tree = {
        "name": sweep.name,
        "created": to_iso8601(now_ms()),
        "recipe": _RECIPE,
        "folder": str(sweep.folder),
        "seeds": list(sweep.seeds),
        "trackers": list(trackers),
        "over": {factor.key: list(factor.values) for factor in sweep.factors},
    }
    # The recipe of any run will do: factors and seed are overridden for each run.
    texts = {
        _RECIPE: _redacted_toml(sweep.runs[0].config),
        _SWEEP_FILE: make_redactor()(tomli_w.dumps(tree)),
    }
    try:
        folder.mkdir(parents=True)
        for file, text in texts.items():
            with atomic_write(folder / file) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {reason_not_written(folder, error)}.\n"
            "Give a folder of your own with --store."
        ) from error
    return StoredSweep(identifier, folder, sweep, tuple(trackers))


@contextmanager
def sweep_lock(stored_sweep: StoredSweep) -> Iterator[None]:
    """Lock a sweep, so that no other process trains the same runs.

    Raises StoreError if another process trains it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(stored_sweep.folder))
        except StoreError as error:
            raise StoreError(
                f"The sweep {stored_sweep.id} is being trained by another process.\n"
                "Wait until it has ended, or end it; then give the same command again."
            ) from error
        yield


def find_sweep(store: Path, reference: str, same_runs_as: Sweep | None = None) -> StoredSweep:
    """Find the newest sweep with an id or a name in the store.

    Args:
        store: The folder of all runs.
        reference: The sweep's id or name.
        same_runs_as: A sweep that must consist of the same runs, if given.

    Raises:
        StoreError: There is no such sweep.
        ConfigError: Its file is damaged.
    """
    files = sorted(store.absolute().glob(f"{SWEEP_FOLDER}/*/{_SWEEP_FILE}"), key=_created)
    for file in reversed(files):
        try:
            definition = read_definition(str(file))
        except ConfigError:
            if reference == file.parent.name:
                raise
            continue  # another sweep's file that is damaged
        if reference not in (file.parent.name, definition.name):
            continue
        sweep = plan_sweep(
            definition.name,
            definition.recipe,
            [],
            definition.factors,
            definition.seeds,
            definition.folder,
        )
        if same_runs_as is None or _run_recipes(sweep) == _run_recipes(same_runs_as):
            return StoredSweep(file.parent.name, file.parent, sweep, definition.trackers)
    newest = ", ".join(file.parent.name for file in files[-5:]) or "none"
    condition = " with exactly these runs" if same_runs_as else ""
    raise StoreError(
        f"There is no sweep {reference!r}{condition} in {store} to resume.\n"
        f"The newest sweeps there: {newest}. "
        "Resume one by its name or id alone: dcgan sweep NAME --resume"
    )


def _redacted_toml(config: Config) -> str:
    return make_redactor()(to_toml(config))


def _run_recipes(sweep: Sweep) -> list[tuple[str, str]]:
    """Name and recipe of each run."""
    return [(run.name, _redacted_toml(run.config)) for run in sweep.runs]


def _created(file: Path) -> str:
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8")).get("created"))
    except (OSError, ValueError, RecursionError):
        return ""
