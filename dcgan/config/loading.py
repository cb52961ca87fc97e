"""Loads a configuration from a recipe and overrides, and explains what is wrong with it.

Users write a key as `section.name`, such as `optimizer.lr`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dcgan.config.schema import Config, ConfigError
from dcgan.config.section import Section
from tracking.wording import did_you_mean


@dataclass(frozen=True)
class Override:
    """A value that replaces one of the recipe's.

    Attributes:
        key: Such as `optimizer.lr`.
        value: As TOML would give it.
        origin: The user's input that set it, for messages.
    """

    key: str
    value: Any
    origin: str

    def per_key(self) -> Iterator[Override]:
        """One override for each key, if the value is a section: its other keys stay."""
        if not isinstance(self.value, Mapping):
            yield self
            return
        for name, value in self.value.items():
            yield from Override(f"{self.key}.{name}", value, self.origin).per_key()


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the project, sorted."""
    folder = resources.files("dcgan.recipes")
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """The TOML of a recipe that ships with the project; raises ConfigError for other names."""
    names = recipe_names()
    if name not in names:
        raise ConfigError(
            f"There is no recipe {name!r}. {did_you_mean(name, names, limit=1)}".rstrip() + "\n"
            f"The recipes are: {', '.join(names)}. Or give the path of a .toml file."
        )
    file = resources.files("dcgan.recipes") / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def parse_override(text: str) -> Override:
    """Parse `key=value`, the value as in `parse_value`; raises ConfigError if one is missing."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        missing = "key" if equals else "value"
        raise ConfigError(f"--set {text} has no {missing}.\nWrite it as --set key=value.")
    return Override(key.strip(), parse_value(value), f"--set {text}")


def parse_value(text: str) -> Any:
    """Parse a TOML value; text that is not one stays a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def load_config(recipe: str, overrides: list[Override]) -> Config:
    """Load a recipe by its name or the path of its TOML file, and apply overrides in order.

    Raises:
        ConfigError: The recipe cannot be read, or the configuration is not valid. The message
            names every wrong key, where its value came from, what is allowed, and for an
            unknown key the nearest that exists.
    """
    values, recipe_origin = _read_recipe(recipe)
    values.setdefault("name", Path(recipe).stem)
    origins: dict[str, str] = {}
    overrides = [each for override in overrides for each in override.per_key()]
    for override in overrides:
        _check_text(override)
        _apply(override, values)
        origins[override.key] = override.origin
    _check_effects(overrides, values)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [_explain(details, origins, recipe_origin) for details in error.errors()]
        raise ConfigError("\n\n".join(problems)) from error


def recipe_name(recipe: str) -> str:
    """The name of a recipe, which may lack what overrides are to add, such as its length.

    Raises ConfigError if it cannot be read.
    """
    values, _ = _read_recipe(recipe)
    return str(values.get("name", Path(recipe).stem))


def to_toml(config: Config) -> str:
    """The configuration as a recipe, with every key, that loads as the same configuration."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def _read_recipe(recipe: str) -> tuple[dict[str, Any], str]:
    """A recipe's values and its origin, for messages."""
    if recipe.endswith(".toml"):
        origin = recipe
        try:
            text = Path(recipe).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"The recipe {recipe} cannot be read: {reason}.") from error
    else:
        text, origin = recipe_text(recipe), f"the recipe {recipe}"
    try:
        return tomllib.loads(text), origin
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}.") from error


ALTERNATIVES = {
    "training.epochs": "steps",
    "training.steps": "epochs",
    "images.every_epochs": "every_steps",
    "images.every_steps": "every_epochs",
}
"""Keys that exclude each other: setting one removes the other from the same section."""


def _check_text(override: Override) -> None:
    """Refuse text that a run's recipe cannot hold: a path in another encoding than UTF-8."""
    if isinstance(override.value, str):
        try:
            override.value.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{override.key} = {override.value!r} is not UTF-8 text, as a recipe is.\n"
                "Rename that file or folder, or make a link to it and give the link."
            ) from error


def _apply(override: Override, values: dict[str, Any]) -> None:
    *sections, name = override.key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(
                f"{override.key} ({override.origin}): {section} is a single value, not a section."
            )
    values[name] = override.value
    values.pop(ALTERNATIVES.get(override.key, ""), None)


OWN_KEYS = {
    "optimizer.lr": ("optimizer.generator_lr", "optimizer.discriminator_lr"),
    "optimizer.betas": ("optimizer.generator_betas", "optimizer.discriminator_betas"),
}
"""Key for both networks -> the keys that set it for one network."""


def _check_effects(overrides: Sequence[Override], values: Mapping[str, Any]) -> None:
    """Refuse to set a key for both networks if each network has a value of its own.

    It would have no effect, and a sweep over it would compare identical arms.
    """
    for override in overrides:
        section, _, _ = override.key.partition(".")
        own_keys = OWN_KEYS.get(override.key, ())
        own_values = values.get(section) if own_keys else None
        if isinstance(own_values, dict) and all(
            own_values.get(key.rpartition(".")[2]) is not None for key in own_keys
        ):
            raise ConfigError(
                f"{override.key} ({override.origin}) has no effect, because "
                f"{' and '.join(own_keys)} are set.\n"
                "Set these instead; --lr sets the rates of both networks."
            )


_NOT_A_LIST = ("missing", "tuple_type", "too_long", "too_short")
"""Pydantic's error types for a value that should be a list, or a list of another length."""


def _explain(details: ErrorDetails, origins: Mapping[str, str], recipe_origin: str) -> str:
    key = ".".join(str(part) for part in details["loc"] if isinstance(part, str))
    # A wrong section is named by the whole key that was typed, such as optimzer.lr.
    typed = next((each for each in origins if f"{each}.".startswith(f"{key}.")), key)
    origin = origins.get(typed, recipe_origin)
    if details["type"] == "extra_forbidden":
        key = typed
        hint = did_you_mean(key, _all_keys(Config), limit=1)
        return f"{key}: there is no such key ({origin}). {hint}".rstrip()
    if details["type"] in _NOT_A_LIST and isinstance(default := _default(key), tuple):
        example = json.dumps(default or ["color", "translation"])
        hint = f"\nWrite it as --set '{key}={example}'." if origin.startswith("--set") else ""
        return f"{key}: it should be a list such as {example} ({origin}).{hint}"
    if details["type"] == "string_type" and isinstance(details["input"], int | float):
        text = json.dumps(json.dumps(details["input"]))
        hint = f"\nWrite it as --set '{key}={text}'." if origin.startswith("--set") else ""
        return f"{key}: it should be text, such as {text} ({origin}).{hint}"
    if details["type"] == "missing":
        return f"{key}: it is missing ({origin})."
    if isinstance(details["input"], Mapping | BaseModel):
        return f"{key}: {details['msg']} ({origin}).".removeprefix(": ")
    return f"{key} = {details['input']!r}: {_allowed(details)} ({origin})."


def _default(key: str) -> Any:
    """The default value of a key, or of the key of both networks; None if it has none."""
    section: type[BaseModel] = Config
    shared_key = next((shared for shared, own in OWN_KEYS.items() if key in own), key)
    *sections, name = shared_key.split(".")
    for section_name in sections:
        section = cast(type[BaseModel], section.model_fields[section_name].annotation)
    return section.model_fields[name].default


def _allowed(details: ErrorDetails) -> str:
    """The valid input, from pydantic's 'Input should be ...'."""
    return details["msg"].replace("Input should be", "it should be", 1)


@dataclass(frozen=True)
class SettableKey:
    """A key that users can set.

    Attributes:
        key: Such as `init.scheme`.
        description: Its meaning; empty if the schema has none.
        values: All allowed values, as they are typed; empty if there are too many to list.
    """

    key: str
    description: str
    values: tuple[str, ...]


def settable_keys() -> dict[str, SettableKey]:
    """All keys that hold a value -> their descriptions."""
    return {each.key: each for each in _settable_keys(Config, "")}


def _settable_keys(section: type[BaseModel], prefix: str) -> Iterator[SettableKey]:
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from _settable_keys(annotation, f"{prefix}{name}.")
        else:
            yield SettableKey(prefix + name, field.description or "", _few_values(annotation))


def _few_values(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return "true", "false"
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    of_alternatives = get_args(annotation) if isinstance(annotation, UnionType) else ()
    return tuple(value for each in of_alternatives for value in _few_values(each))


def _all_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """The keys of a section and of its subsections, and the names of the subsections."""
    keys = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += [prefix + name, *_all_keys(field.annotation, f"{prefix}{name}.")]
        else:
            keys.append(prefix + name)
    return keys
