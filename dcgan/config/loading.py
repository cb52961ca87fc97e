"""Reads a configuration from a recipe, overridden by key; explains what is wrong with one.

A key is written `section.name`, such as `optimizer.lr`, wherever a person types it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dcgan.config.schema import Config, ConfigError, Section
from tracking.wording import did_you_mean


@dataclass(frozen=True)
class Override:
    """A value that replaces the recipe's, and what the user typed to set it."""

    key: str
    value: Any
    origin: str


def recipe_names() -> list[str]:
    """The recipes that come with the project."""
    folder = resources.files("dcgan.recipes")
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """The TOML of a recipe that comes with the project; raises ConfigError for another name."""
    names = recipe_names()
    if name not in names:
        raise ConfigError(
            f"There is no recipe {name!r}. {did_you_mean(name, names, limit=1)}".rstrip() + "\n"
            f"The recipes are: {', '.join(names)}; or give the path of a .toml file."
        )
    file = resources.files("dcgan.recipes") / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def parse_override(text: str) -> Override:
    """`key=value`, the value as `parse_value` reads it."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text} has no value.\nWrite it as --set key=value.")
    return Override(key.strip(), parse_value(value), f"--set {text}")


def parse_value(text: str) -> Any:
    """A value as TOML; what is no TOML value is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def load_config(recipe: str, overrides: list[Override]) -> Config:
    """Read a recipe by name or by the path of its TOML file, and override it in order.

    Raises ConfigError, which names every key at fault, where its value came from,
    what is allowed, and for an unknown key the nearest that exists.
    """
    text, where = _read_recipe(recipe)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}.") from error
    tree.setdefault("name", Path(recipe).stem)
    origins: dict[str, str] = {}
    for override in overrides:
        _set(tree, override)
        origins[override.key] = override.origin
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = [_explain(problem, origins, where) for problem in error.errors()]
        raise ConfigError("\n\n".join(problems)) from error


def to_toml(config: Config) -> str:
    """The whole configuration as a recipe that gives the same configuration back."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def _read_recipe(recipe: str) -> tuple[str, str]:
    if recipe.endswith(".toml"):
        try:
            return Path(recipe).read_text(encoding="utf-8"), recipe
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"The recipe {recipe} cannot be read: {reason}.") from error
    return recipe_text(recipe), f"the recipe {recipe}"


_RIVALS = {
    "training.epochs": "steps",
    "training.steps": "epochs",
    "images.every_epochs": "every_steps",
    "images.every_steps": "every_epochs",
}
"""Keys of which one takes the place of the other in the same section."""


def _set(tree: dict[str, Any], override: Override) -> None:
    *sections, name = override.key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"{override.key} ({override.origin}): {section} is a single value, not a section."
            )
    tree[name] = override.value
    tree.pop(_RIVALS.get(override.key, ""), None)


def _explain(problem: ErrorDetails, origins: Mapping[str, str], where: str) -> str:
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    origin = origins.get(key, where)
    if problem["type"] == "extra_forbidden":
        keys = list(_keys(Config))
        hint = did_you_mean(key, keys, limit=1)
        return f"{key}: there is no such key ({origin}). {hint}".rstrip()
    if problem["type"] == "missing":
        return f"{key}: it is missing ({origin})."
    if isinstance(problem["input"], Mapping | BaseModel):
        return f"{key}: {problem['msg']} ({origin}).".removeprefix(": ")
    return f"{key} = {problem['input']!r}: {_allowed(problem)} ({origin})."


def _allowed(problem: ErrorDetails) -> str:
    """What would be right, from pydantic's 'Input should be ...'."""
    return problem["msg"].replace("Input should be", "it should be", 1)


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += [prefix + name, *_keys(field.annotation, f"{prefix}{name}.")]
        else:
            keys.append(prefix + name)
    return keys
