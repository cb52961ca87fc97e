"""Sweeps in the store: each is a folder from which it can be run again."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from dcgan.config.loading import to_toml
from dcgan.config.schema import Config
from dcgan.sweep.definition import read_definition
from dcgan.sweep.plan import Sweep, plan_sweep
from tracking.atomic_files import atomic_write
from tracking.clock import now_ms
from tracking.errors import StoreError
from tracking.fields import to_iso8601
from tracking.redaction import make_redactor
from tracking.store import new_identifier

SWEEP_FOLDER = "sweeps"
"""Within the store."""

_SWEEP_FILE, _RECIPE = "sweep.toml", "recipe.toml"


@dataclass(frozen=True)
class StoredSweep:
    """A sweep that the store knows. id: such as `weight-init-x7k2m9`. folder: holds its files."""

    id: str
    folder: Path
    sweep: Sweep
    trackers: tuple[str, ...]

    @property
    def store(self) -> Path:
        return self.folder.parent.parent


def save_sweep(store: Path, sweep: Sweep, trackers: Sequence[str]) -> StoredSweep:
    """Write a sweep into the store, as a sweep's file and the recipe that it names.

    Raises StoreError where the store cannot be written to.
    """
    identifier = new_identifier(sweep.name)
    folder = store.absolute() / SWEEP_FOLDER / identifier
    tree = {
        "name": sweep.name,
        "created": to_iso8601(now_ms()),
        "recipe": _RECIPE,
        "seeds": list(sweep.seeds),
        "trackers": list(trackers),
        "over": {factor.key: list(factor.values) for factor in sweep.factors},
    }
    # The recipe of one run serves all: the rest of them override what is its own.
    texts = {
        _RECIPE: _clean_toml(sweep.trials[0].config),
        _SWEEP_FILE: make_redactor()(tomli_w.dumps(tree)),
    }
    try:
        folder.mkdir(parents=True)
        for file, text in texts.items():
            with atomic_write(folder / file) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"The store {store} cannot be written to: {error.strerror}.\n"
            "Give a folder of your own with --store."
        ) from error
    return StoredSweep(identifier, folder, sweep, tuple(trackers))


def find_sweep(store: Path, reference: str, like: Sweep | None = None) -> StoredSweep:
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
            return StoredSweep(file.parent.name, file.parent, sweep, definition.trackers)
    known = ", ".join(file.parent.name for file in files[-5:]) or "none"
    alike = " of these very runs" if like else ""
    raise StoreError(
        f"There is no sweep {reference!r}{alike} in {store} to resume. Sweeps here: {known}.\n"
        "Resume one by its name or id alone: dcgan sweep NAME --resume"
    )


def _clean_toml(config: Config) -> str:
    return make_redactor()(to_toml(config))


def _runs_of(sweep: Sweep) -> list[tuple[str, str]]:
    return [(trial.name, _clean_toml(trial.config)) for trial in sweep.trials]


def _created(file: Path) -> str:
    return str(tomllib.loads(file.read_text(encoding="utf-8")).get("created"))
