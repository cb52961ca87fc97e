"""The configuration of a run: typed, validated, read from a recipe and overridden by key.

A key is written `section.name`, such as `optimizer.lr`, wherever a person types it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from tracking.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run, in words for the user."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dataset(Section):
    """Which images, and the form in which the networks see them."""

    name: Literal["digits", "folder"]
    path: str | None = Field(None, description="the folder of images")
    image_size: Literal[32, 64] = Field(64, description="height and width in pixels")
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for RGB")

    @model_validator(mode="after")
    def _path_where_needed(self) -> Dataset:
        if self.name == "folder" and self.path is None:
            raise PydanticCustomError(
                "path_missing",
                'name = "folder" needs dataset.path: give the folder of images with --data',
            )
        if self.name == "digits" and self.path is not None:
            raise PydanticCustomError(
                "path_unused",
                'name = "digits" is embedded and has no path: for a folder of your own '
                'set dataset.name = "folder"',
            )
        return self


class Network(Section):
    """The sizes of both networks (Radford et al. 2016, section 3)."""

    latent_size: int = Field(100, ge=1, le=4096)
    generator_features: int = Field(64, ge=1, le=1024, description="maps of G's last hidden layer")
    discriminator_features: int = Field(64, ge=1, le=1024, description="maps of D's first layer")


class Init(Section):
    """How weights start: `dcgan` is N(0, 0.02), `default` is PyTorch's own."""

    scheme: Literal["dcgan", "default"] = "dcgan"


class Loss(Section):
    name: Literal["bce"] = "bce"


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Section):
    """Adam (Kingma and Ba 2015), the same for both networks."""

    lr: float = Field(2e-4, gt=0, le=1, allow_inf_nan=False)
    betas: Annotated[tuple[Beta, Beta], Strict(False)] = (0.5, 0.999)


class Training(Section):
    epochs: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(128, ge=2, le=65_536)


class Images(Section):
    """The grid of samples from fixed noise."""

    every_steps: int = Field(500, ge=1)
    count: int = Field(64, ge=1, le=1024)
    mode: Literal["train", "eval"] = Field(
        "train", description="batch norm in the grid by the statistics of its own batch, or learnt"
    )


class Checkpoints(Section):
    """One is written each epoch; the last two stay, and those kept here."""

    keep_every: int = Field(0, ge=0, description="epochs; 0 keeps none but the last two")


class Config(Section):
    name: str = Field(min_length=1, max_length=100, description="of the recipe")
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**63)
    dataset: Dataset
    network: Network = Network()
    init: Init = Init()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    training: Training
    images: Images = Images()
    checkpoints: Checkpoints = Checkpoints()


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


def parse_override(text: str) -> Override:
    """`key=value`, the value as TOML; what is no TOML value is a string."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text} has no value.\nWrite it as --set key=value.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return Override(key.strip(), parsed, f"--set {text}")


def load_config(recipe: str, overrides: list[Override]) -> Config:
    """Read a recipe by name or by the path of its TOML file, and override it in order.

    Raises ConfigError, which names every key at fault, where its value came from,
    what is allowed, and for an unknown key the nearest that exists.
    """
    text, where = _recipe_text(recipe)
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


def _recipe_text(recipe: str) -> tuple[str, str]:
    if recipe.endswith(".toml"):
        try:
            return Path(recipe).read_text(encoding="utf-8"), recipe
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"The recipe {recipe} cannot be read: {reason}.") from error
    names = recipe_names()
    if recipe not in names:
        raise ConfigError(
            f"There is no recipe {recipe!r}.{_nearest(recipe, names)}\n"
            f"The recipes are: {', '.join(names)}; or give the path of a .toml file."
        )
    file = resources.files("dcgan.recipes") / f"{recipe}.toml"
    return file.read_text(encoding="utf-8"), f"the recipe {recipe}"


def _set(tree: dict[str, Any], override: Override) -> None:
    *sections, name = override.key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"{override.key} ({override.origin}): {section} is a single value, not a section."
            )
    tree[name] = override.value


def _explain(problem: ErrorDetails, origins: Mapping[str, str], where: str) -> str:
    key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    origin = origins.get(key, where)
    if problem["type"] == "extra_forbidden":
        keys = list(_keys(Config))
        return f"{key}: there is no such key ({origin}).{_nearest(key, keys)}"
    if problem["type"] == "missing":
        return f"{key}: it is missing ({origin})."
    if isinstance(problem["input"], Mapping):
        return f"{key}: {problem['msg']} ({origin})."
    return f"{key} = {problem['input']!r}: {_allowed(problem)} ({origin})."


def _allowed(problem: ErrorDetails) -> str:
    """What would be right, from pydantic's 'Input should be ...'."""
    return problem["msg"].replace("Input should be", "it should be", 1)


def _nearest(wrong: str, known: list[str]) -> str:
    leaves = {key.rpartition(".")[2]: key for key in known}
    found = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    if not found:
        leaf = difflib.get_close_matches(wrong.rpartition(".")[2], leaves, n=1, cutoff=0.6)
        found = [leaves[name] for name in leaf]
    return f" Did you mean {found[0]}?" if found else ""


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += _keys(field.annotation, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
