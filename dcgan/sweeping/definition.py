"""Reads the definition of a sweep, from a file or from the built-in ones."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, Strict, ValidationError

from dcgan.config.loading import recipe_name, recipe_names
from dcgan.config.schema import ConfigError
from dcgan.config.section import Section
from dcgan.sweeping.plan import Factor

DEFAULT_SEEDS = 5
"""Seeds of a sweep that does not set `seeds`."""

_MAX_SEEDS = 10_000


@dataclass(frozen=True)
class SweepDefinition:
    """A sweep as its file defines it, before it is planned.

    Attributes:
        name: The sweep's name, by which it is resumed.
        description: A sentence for the list of sweeps.
        recipe: A recipe's name or the path of its file.
        factors: The keys that vary and their values.
        seeds: The seeds of every arm.
        trackers: The backends besides the local journal.
        folder: Where relative paths begin, if it is a sweep in a store; None for other files, whose
            paths begin in the working directory.
    """

    name: str
    description: str
    recipe: str
    factors: tuple[Factor, ...] = ()
    seeds: tuple[int, ...] = tuple(range(DEFAULT_SEEDS))
    trackers: tuple[str, ...] = ()
    folder: Path | None = None


class _SweepFile(Section):
    name: Annotated[str, Field(min_length=1)]  # any length: it may be that of a recipe, or --name
    description: str = ""
    recipe: str
    seeds: Annotated[int, Field(le=_MAX_SEEDS)] | list[int] = DEFAULT_SEEDS
    over: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field({})
    trackers: Annotated[tuple[str, ...], Strict(False)] = ()
    created: str = ""
    folder: str = ""


def sweep_names() -> list[str]:
    """The sweeps that ship with the project."""
    folder = resources.files("dcgan.sweeps")
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def read_definition(subject: str) -> SweepDefinition:
    """The sweep with a name, or in a TOML file; a recipe counts as a sweep without factors.

    Raises ConfigError if there is no such sweep or recipe, or if the file is not valid.
    """
    if subject in sweep_names():
        file = resources.files("dcgan.sweeps") / f"{subject}.toml"
        return _parse(file.read_text(encoding="utf-8"), f"the sweep {subject}", Path())
    if subject in recipe_names():
        return SweepDefinition(recipe_name(subject), "", subject)
    if not subject.endswith(".toml"):
        raise ConfigError(
            f"There is no sweep or recipe {subject!r}.\n"
            f"The sweeps are: {', '.join(sweep_names())}; "
            f"the recipes are: {', '.join(recipe_names())}; or give the path of a .toml file."
        )
    try:
        text = Path(subject).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{subject} cannot be read: {reason}.") from error
    try:
        is_recipe = "dataset" in tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{subject} is not valid TOML: {error}.") from error
    if is_recipe:
        return SweepDefinition(recipe_name(subject), "", subject)
    return _parse(text, subject, Path(subject).expanduser().parent)


def _parse(text: str, origin: str, folder: Path) -> SweepDefinition:
    try:
        file = _SweepFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} ({origin})."
            for problem in error.errors()
        ]
        raise ConfigError("\n".join(problems)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}.") from error
    return SweepDefinition(
        name=file.name,
        description=file.description,
        recipe=str(folder / Path(file.recipe).expanduser())
        if file.recipe.endswith(".toml")
        else file.recipe,
        factors=tuple(Factor(key, tuple(values), origin) for key, values in file.over.items()),
        seeds=tuple(range(file.seeds) if isinstance(file.seeds, int) else file.seeds),
        trackers=file.trackers,
        folder=Path(file.folder).expanduser() if file.folder else None,
    )
