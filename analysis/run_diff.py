"""How two runs differ: configuration, data, code, packages, machine and outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tracking.chosen_keys import MEASURED_OF_DATA
from tracking.events import BATCH, CONFIG, EPOCH, SYS, USAGE, Value
from tracking.fields import config_key, to_text
from tracking.provenance import UNTRACKED_NOTE

_DATA = ("dataset.name", "dataset.path", "dataset.size", "dataset.fingerprint")
_NO_CHOICE = {"seed", *_DATA, *MEASURED_OF_DATA}
_NO_OUTCOME = {"step", "time", f"{EPOCH}/number"}
_CODE = ("commit", "branch", "dirty", "remote")
_PATCH_OF_A_FILE = re.compile(r"^diff --git (.+)$", re.MULTILINE)
_NAME_IN_NOTE = re.compile(r"^#   (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class RunRecord:
    """Everything that a store holds about one run.

    Attributes:
        run: Its id.
        fields: Path -> value, as `tracking.backends.local` reads them.
        last: Metric path -> last value; also `step`, the last one.
        patch: The uncommitted changes, as `tracking.provenance.describe` writes them; empty if
            none were recorded.
        evaluation_steps: Metric path -> the step that its last value is of, for evaluations.
    """

    run: str
    fields: Mapping[str, Value]
    last: Mapping[str, float]
    patch: str = ""
    evaluation_steps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ValuePair:
    """One name and its value in each run.

    Attributes:
        name: The name, such as `optimizer.lr`.
        first: None if the run has no such value.
        second: The same for the second run.
    """

    name: str
    first: Value
    second: Value


@dataclass(frozen=True)
class SectionDiff:
    """One section of the difference.

    Attributes:
        differing: The names with different values.
        equal: Name -> value, for those with the same value in both runs.
    """

    differing: tuple[ValuePair, ...]
    equal: Mapping[str, Value]


@dataclass(frozen=True)
class MetricPair:
    """The final value of a metric in each run.

    Attributes:
        path: The path of the metric.
        first: None if the run lacks the metric; NaN and infinities are values.
        second: The same for the second run.
        difference: The second minus the first; None if a run lacks the metric.
    """

    path: str
    first: float | None
    second: float | None
    difference: float | None


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side.

    Attributes:
        runs: Their ids.
        outline: Recipe, status, seed, and how far each run got, even if they are equal.
        configuration: Values by dotted key, without the seed and the data.
        data: Name, path, size and fingerprint of the images.
        same_data: Whether the fingerprints are the same; None if one was not recorded.
        code: Commit, branch, dirty, remote.
        uncommitted: File -> how many lines a patch adds and removes, or `untracked`.
        packages: Versions of packages and of Python.
        machine: Device, hardware, platform, host.
        metrics: Means of the last epoch if both runs have them, otherwise of the last step.
        warnings: One sentence each on why the metrics may not be comparable or what is unknown.
    """

    runs: tuple[str, str]
    outline: tuple[ValuePair, ...]
    configuration: SectionDiff
    data: SectionDiff
    same_data: bool | None
    code: SectionDiff
    uncommitted: SectionDiff
    packages: SectionDiff
    machine: SectionDiff
    metrics: tuple[MetricPair, ...]
    warnings: tuple[str, ...]


def diff_runs(first: RunRecord, second: RunRecord) -> RunDiff:
    """Compare two runs."""
    both = (first, second)
    configurations = [_configuration(run.fields) for run in both]
    data = _section(*(_select(keys, _DATA) for keys in configurations))
    return RunDiff(
        runs=(first.run, second.run),
        outline=_outline(first, second),
        configuration=_section(
            *(
                {key: value for key, value in keys.items() if key not in _NO_CHOICE}
                for keys in configurations
            )
        ),
        data=data,
        same_data=_same_data(first.fields, second.fields),
        code=_section(*(_select(_under(run.fields, f"{SYS}/git/"), _CODE) for run in both)),
        uncommitted=_uncommitted(first.patch, second.patch),
        packages=_section(*(_packages(run.fields) for run in both)),
        machine=_section(*(_machine(run.fields) for run in both)),
        metrics=_metrics(first.last, second.last),
        warnings=tuple(_warnings(first, second)),
    )


def _section(first: Mapping[str, Value], second: Mapping[str, Value]) -> SectionDiff:
    """None counts as missing, since older versions of the program may not have had the name."""
    differing, equal = [], {}
    for name in dict.fromkeys((*first, *second)):
        pair = ValuePair(name, first.get(name), second.get(name))
        if to_text(pair.first) != to_text(pair.second):
            differing.append(pair)
        else:
            equal[name] = pair.first
    return SectionDiff(tuple(differing), equal)


def _under(fields: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {
        path.removeprefix(prefix): value
        for path, value in fields.items()
        if path.startswith(prefix) and value is not None
    }


def _select(values: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    return {name: values[name] for name in names if name in values}


def _configuration(fields: Mapping[str, Value]) -> dict[str, Value]:
    keys = {path: config_key(path) for path in fields}
    return {key: fields[path] for path, key in keys.items() if path.startswith(f"{CONFIG}/")}


def _packages(fields: Mapping[str, Value]) -> dict[str, Value]:
    python = _select(_under(fields, f"{SYS}/"), ["python"])
    return python | _under(fields, f"{SYS}/packages/")


def _machine(fields: Mapping[str, Value]) -> dict[str, Value]:
    machine = _select(_under(fields, f"{SYS}/"), ["device", "hostname", "platform"])
    return machine | _under(fields, f"{SYS}/hardware/")


def _outline(first: RunRecord, second: RunRecord) -> tuple[ValuePair, ...]:
    first_outline, second_outline = (
        {name: run.fields.get(f"{SYS}/{name}") for name in ("recipe", "status", "seed")}
        | {"epochs": int(run.last.get(f"{EPOCH}/number", 0)), "steps": int(run.last.get("step", 0))}
        for run in (first, second)
    )
    return tuple(
        ValuePair(name, value, second_outline[name]) for name, value in first_outline.items()
    )


def _same_data(first: Mapping[str, Value], second: Mapping[str, Value]) -> bool | None:
    fingerprints = [fields.get(f"{CONFIG}/dataset/fingerprint") for fields in (first, second)]
    return None if None in fingerprints else fingerprints[0] == fingerprints[1]


def _uncommitted(first: str, second: str) -> SectionDiff:
    """By file. Different patches with equal line counts are marked as different."""
    first_patches, second_patches = _patches(first), _patches(second)
    differing, equal = [], {}
    for file in dict.fromkeys((*first_patches, *second_patches)):
        patches = [first_patches.get(file), second_patches.get(file)]
        sizes = [None if patch is None else _size_of(patch) for patch in patches]
        if patches[0] == patches[1]:
            equal[file] = sizes[0]
            continue
        if sizes[0] == sizes[1]:
            sizes[1] = f"{sizes[1]}, other lines"
        differing.append(ValuePair(file, *sizes))
    return SectionDiff(tuple(differing), equal)


def _patches(text: str) -> dict[str, str]:
    """File name -> its part of a patch; empty for a file that git does not track."""
    patch, _, note = text.partition(f"\n{UNTRACKED_NOTE}\n")
    parts = _PATCH_OF_A_FILE.split(patch)
    names = [header.rpartition(" b/")[2] for header in parts[1::2]]
    untracked = dict.fromkeys(_NAME_IN_NOTE.findall(note), "")
    return dict(zip(names, parts[2::2], strict=True)) | untracked


def _size_of(patch: str) -> str:
    if not patch:
        return "untracked"
    lines = patch.partition("\n@@")[2].splitlines()
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    return f"+{added} -{removed}"


def _metrics(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[MetricPair, ...]:
    """Pairs of the same kind: epoch means are not compared with values of batches."""
    shared = first.keys() & second.keys()
    paths = [
        path
        for path in dict.fromkeys((*first, *second))
        if path not in _NO_OUTCOME and not path.startswith(f"{USAGE}/")
    ]
    with_means = {path.removeprefix(EPOCH) for path in shared if path.startswith(f"{EPOCH}/")}
    kept = [
        path
        for path in paths
        if not (path.startswith(f"{BATCH}/") and path.removeprefix(BATCH) in with_means)
    ]
    return tuple(_metric_pair(path, first.get(path), second.get(path)) for path in sorted(kept))


def _metric_pair(path: str, first: float | None, second: float | None) -> MetricPair:
    difference = None if first is None or second is None else second - first
    return MetricPair(path, first, second, difference)


def _warnings(first: RunRecord, second: RunRecord) -> Iterable[str]:
    for run in (first, second):
        if run.fields.get(f"{SYS}/git/dirty") and not run.patch:
            yield f"{run.run} had uncommitted changes that were not recorded."
    if any(body == "" for run in (first, second) for body in _patches(run.patch).values()):
        yield "Only the names of untracked files were recorded: their contents may differ."
    steps = [int(run.last.get("step", 0)) for run in (first, second)]
    if steps[0] != steps[1]:
        yield (
            f"The runs are at different points of training, after {steps[0]:,} and {steps[1]:,} "
            "steps, and so are their metrics."
        )
    evaluated = [
        (first.evaluation_steps[path], second.evaluation_steps[path])
        for path in sorted(first.evaluation_steps.keys() & second.evaluation_steps.keys())
    ]
    for pair in dict.fromkeys(evaluated):
        if pair[0] != pair[1] and list(pair) != steps:
            yield (
                f"Evaluations of step {pair[0]:,} in A stand beside those of step {pair[1]:,} in B."
            )
