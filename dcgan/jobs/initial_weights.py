"""The weights that a new run starts from: those of another run, or of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dcgan.config.absolute_paths import EXPORTED, WEIGHT_FILES
from dcgan.config.schema import Config, ConfigError
from dcgan.export.weights_file import read_weights_file
from dcgan.models import build_networks
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.training.checkpoint import CheckpointError, parse_checkpoint_ref
from tracking.errors import StoreError
from tracking.events import SYS, Fields, Value
from tracking.store import find_run
from tracking.wording import plural

INITIAL_WEIGHTS = f"{SYS}/initial_weights"
"""The fields that say which weights a run started from."""

StateDict: TypeAlias = Mapping[str, Tensor]

_NETWORKS = ("generator", "discriminator")
_WRAPPERS = ("module.", "main.")
"""Prefixes of the keys in files, from DataParallel and from the official PyTorch example."""

_OPTIONAL = "num_batches_tracked"
"""A buffer of batch norm that is not used here; PyTorch before 0.4.1 did not save it."""

_MAX_LAYERS = 10
"""Layers that an error names."""


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """Weights that fit the networks of a run.

    Attributes:
        origins: `RUN:STEP` for each run, and the absolute path of each file.
        networks: `generator`, `discriminator` or both -> the network's state, on the CPU.
    """

    origins: tuple[str, ...]
    networks: Mapping[str, StateDict]

    def fields(self) -> Fields:
        """The record of these weights: origins, networks, and a hash of all values."""
        values: dict[str, Value] = {
            f"{INITIAL_WEIGHTS}/from": list(self.origins),
            f"{INITIAL_WEIGHTS}/networks": list(self.networks),
            f"{INITIAL_WEIGHTS}/sha256": self.sha256(),
        }
        return Fields(values)

    def sha256(self) -> str:
        """A hash of names, shapes and values."""
        digest = hashlib.sha256()
        for network, state in self.networks.items():
            for name, tensor in state.items():
                digest.update(f"{network}/{name}/{tuple(tensor.shape)}".encode())
                # As bytes, because NumPy has no bfloat16.
                digest.update(tensor.detach().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def note(self) -> str | None:
        """The network that does not start from these weights; None if both do."""
        for network in _NETWORKS:
            if network not in self.networks:
                return (
                    f"Only the {next(iter(self.networks))} starts from {self.origins[0]}; "
                    f"the {network} starts from weights that are drawn by the seed."
                )
        return None


@dataclass(frozen=True, eq=False)
class _Source:
    """The content of one reference; `config` is that of a run, None for a file."""

    origin: str
    states: Mapping[str, StateDict]
    config: Config | None = None


def load_initial_weights(config: Config, store: Path) -> InitialWeights | None:
    """Load what `init.weights` names; None if it names nothing.

    Args:
        config: The configuration of the run that is to start from them.
        store: Where runs are looked for.

    Raises:
        StoreError: There is no such run.
        CheckpointError: There is no such checkpoint, or a file cannot be read.
        ConfigError: The weights are of other networks, or two references give the same network.
    """
    networks: dict[str, StateDict] = {}
    origins: list[str] = []
    for reference in config.init.weights or ():
        source = _read(reference, store, config)
        for network, state in source.states.items():
            if network in networks:
                raise ConfigError(
                    f"{origins[-1]} and {source.origin} both hold a {network}.\n"
                    "Give one run, or one file for each network."
                )
            networks[network] = state
        problems = list(_misfits(source.states, config))
        if problems:
            raise ConfigError(_describe_misfits(source, problems, config))
        _check_finite(source)
        origins.append(source.origin)
    return InitialWeights(tuple(origins), networks) if origins else None


def check_fixed_weights(config: Config, store: Path) -> None:
    """Check that `init.weights` means the same throughout a sweep, which reads it repeatedly.

    Args:
        config: The configuration of a run of a sweep.
        store: Where runs are looked for.

    Raises:
        ConfigError: A run is named without its id or its step, such as `last`; or as
            `load_initial_weights` raises it.
    """
    weights = load_initial_weights(config, store)
    for reference, origin in zip(
        config.init.weights or (), weights.origins if weights else (), strict=True
    ):
        if not reference.endswith(WEIGHT_FILES) and reference != origin:
            raise ConfigError(
                f"init.weights = {reference}: in a sweep, name the run by its id and the step.\n"
                f"At present this means: {origin}"
            )


def check_same_weights(weights: InitialWeights, fields: Mapping[str, Value], run: str) -> None:
    """Check that a run that has no checkpoint yet starts again from the same weights.

    Args:
        weights: What `init.weights` names now.
        fields: The run's fields.
        run: The run's id.

    Raises:
        StoreError: The run started from other weights.
    """
    recorded = fields.get(f"{INITIAL_WEIGHTS}/sha256")
    if recorded not in (None, weights.sha256()):
        raise StoreError(
            f"The weights in {', '.join(weights.origins)} are not those that the run {run} started "
            "from.\nRestore them, or train a new run."
        )


def _read(reference: str, store: Path, config: Config) -> _Source:
    if reference.endswith(WEIGHT_FILES):
        return _read_file(Path(reference).expanduser().absolute(), config)
    name, _, suffix = reference.rpartition(":")
    checkpoint = parse_checkpoint_ref(suffix) if name else None
    if checkpoint is None:
        name, checkpoint = reference, "last"
    if Path(name).is_file():
        raise CheckpointError(
            f"{name} is neither a run nor a file of weights, whose name ends in "
            f"{', '.join(WEIGHT_FILES[:-1])} or {WEIGHT_FILES[-1]}."
        )
    run = TrainedRun.open(find_run(store, name), checkpoint)
    states: dict[str, StateDict] = {network: run.state[network] for network in _NETWORKS}
    return _Source(f"{run.folder.name}:{run.step}", states, run.config)


def _read_file(path: Path, config: Config) -> _Source:
    content: Any = (
        read_weights_file(path).tensors if path.suffix == EXPORTED else _load_tensors(path)
    )
    if isinstance(content, dict) and all(_is_state(content.get(each)) for each in _NETWORKS):
        return _Source(str(path), {network: content[network] for network in _NETWORKS})
    if not _is_state(content):
        raise CheckpointError(
            f"{path} is not the state_dict() of a network, which maps names to tensors."
        )
    state = {_without_wrappers(name): tensor for name, tensor in content.items()}
    network = min(_NETWORKS, key=lambda each: len(list(_misfits({each: state}, config))))
    return _Source(str(path), {network: state})


def _load_tensors(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"The weights {path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # an unpickler raises almost anything
        raise CheckpointError(
            f"The weights {path} cannot be read: only a file of tensors is loaded.\n"
            "Save the state_dict() of a network, not the network itself."
        ) from error


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(name, str) and torch.is_tensor(t) for name, t in content.items())
    )


def _without_wrappers(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _misfits(states: Mapping[str, StateDict], config: Config) -> Iterator[str]:
    """One line for each tensor that one side lacks, or that has another shape."""
    built = dict(zip(_NETWORKS, build_networks(config, seed=0), strict=True))
    for network, state in states.items():
        expected = built[network].state_dict()
        for name in dict.fromkeys((*expected, *state)):
            shape, needed = (
                each[name].shape if name in each else None for each in (state, expected)
            )
            if shape != needed and not (shape is None and name.endswith(_OPTIONAL)):
                yield f"{network} {name}: {_shape(shape)} there, {_shape(needed)} here"


def _shape(shape: torch.Size | None) -> str:
    if shape is None:
        return "none"
    return "x".join(map(str, shape)) or "a number"


def _describe_misfits(source: _Source, problems: list[str], config: Config) -> str:
    more = len(problems) - _MAX_LAYERS
    lines = [
        f"The weights of {source.origin} do not fit the networks of {config.name}:",
        *(f"  {problem}" for problem in problems[:_MAX_LAYERS]),
        *([f"  and {plural(more, 'more tensor')}"] if more > 0 else []),
    ]
    if keys := list(_differing_keys(source.config, config)):
        lines.append(f"The configurations differ in: {'; '.join(keys)}.")
    else:
        lines.append(
            "Choose the recipe, or set the network.* keys, that the weights were trained with."
        )
    return "\n".join(lines)


def _differing_keys(source: Config | None, config: Config) -> Iterator[str]:
    """The keys on which the shapes of the networks depend, where two configurations differ."""
    if source is None:
        return
    trees = [
        {f"network.{key}": value for key, value in each.network.model_dump().items()}
        | {
            "dataset.image_size": each.dataset.image_size,
            "dataset.channels": each.dataset.channels,
            "stabilisers.spectral_norm": each.stabilisers.spectral_norm,
            "loss.name": each.loss.name,
        }
        for each in (source, config)
    ]
    for key, value in trees[0].items():
        if value != trees[1][key]:
            yield f"{key} = {value} there, {trees[1][key]} here"


def _check_finite(source: _Source) -> None:
    for network, state in source.states.items():
        broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
        if broken:
            raise ConfigError(
                f"The {network} of {source.origin} has values that are not finite, in "
                f"{broken[0]}: its training has diverged.\nChoose an earlier checkpoint."
            )
