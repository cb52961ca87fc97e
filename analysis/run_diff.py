"""What tells two runs apart: configuration, data, code, packages, machine and outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.comparison.arms import MEASURED_OF_DATA
from tracking.events import BATCH, CONFIG, EPOCH, SYS, USAGE, Value
from tracking.fields import config_key, to_text
from tracking.provenance import UNTRACKED_NOTE

CAVEAT = "One run of each is an anecdote, and a loss is not a quality."

_DATA = ("dataset.name", "dataset.path", "dataset.size", "dataset.fingerprint")
_NO_CHOICE = {"seed", *_DATA, *MEASURED_OF_DATA}
_NO_OUTCOME = {"step", "time", f"{EPOCH}/number"}
_CODE = ("commit", "branch", "dirty", "remote")
_PATCH_OF_A_FILE = re.compile(r"^diff --git (.+)$", re.MULTILINE)
_NAME_IN_NOTE = re.compile(r"^#   (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class RunRecord:
    """What a store knows of one run.

    fields: by path. last: the newest value of each metric, and its `step`; both as
    `tracking.backends.local` reads them. patch: the uncommitted changes, as
    `tracking.provenance.describe` words them; empty where none were kept.
    """

    run: str
    fields: Mapping[str, Value]
    last: Mapping[str, float]
    patch: str = ""


@dataclass(frozen=True)
class ValuePair:
    """One name and its value in either run, None where a run has none."""

    name: str
    first: Value
    second: Value


@dataclass(frozen=True)
class SectionDiff:
    """Names in which two runs differ, and what is the same in both, by name."""

    differing: tuple[ValuePair, ...]
    equal: Mapping[str, Value]


@dataclass(frozen=True)
class MetricPair:
    """The final value of a metric in either run, and the second less the first.

    None where a run lacks the metric; NaN and infinities are values.
    """

    path: str
    first: float | None
    second: float | None
    difference: float | None


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side.

    runs: their ids. outline: recipe, status, seed, and how far each run came, alike or not.
    configuration: by dotted key, without the seed and the data. data: name, path, size and
    fingerprint of the images. same_data: whether the fingerprints say so; None where one is not
    known. code: commit, branch, dirty, remote. uncommitted: by file, how many lines a patch adds
    and takes off, or `untracked`. packages: versions, Python's among them. machine: device,
    hardware, platform, host.
    metrics: means of the last epoch where both runs have them, else of the last step.
    warnings: a sentence each: what speaks against comparing the metrics, and what is not known.
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
    """Hold two runs against each other."""
    both = (first, second)
    configurations = [_configuration(run.fields) for run in both]
    data = _part(*(_chosen(each, _DATA) for each in configurations))
    return RunDiff(
        runs=(first.run, second.run),
        outline=_outline(first, second),
        configuration=_part(
            *({key: each[key] for key in each if key not in _NO_CHOICE} for each in configurations)
        ),
        data=data,
        same_data=_same_data(first.fields, second.fields),
        code=_part(*(_chosen(_under(run.fields, f"{SYS}/git/"), _CODE) for run in both)),
        uncommitted=_uncommitted(first.patch, second.patch),
        packages=_part(*(_packages(run.fields) for run in both)),
        machine=_part(*(_machine(run.fields) for run in both)),
        metrics=_metrics(first.last, second.last),
        warnings=tuple(_warnings(first, second)),
    )


def _part(first: Mapping[str, Value], second: Mapping[str, Value]) -> SectionDiff:
    """A value that is None is one that is missing: an older version may not have had its name."""
    differing, equal = [], {}
    for name in dict.fromkeys((*first, *second)):
        one, other = first.get(name), second.get(name)
        if to_text(one) != to_text(other):
            differing.append(ValuePair(name, one, other))
        else:
            equal[name] = one
    return SectionDiff(tuple(differing), equal)


def _under(fields: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {
        path.removeprefix(prefix): value
        for path, value in fields.items()
        if path.startswith(prefix) and value is not None
    }


def _chosen(values: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    return {name: values[name] for name in names if name in values}


def _configuration(fields: Mapping[str, Value]) -> dict[str, Value]:
    keys = {path: config_key(path) for path in fields}
    return {key: fields[path] for path, key in keys.items() if path.startswith(f"{CONFIG}/")}


def _packages(fields: Mapping[str, Value]) -> dict[str, Value]:
    python = _chosen(_under(fields, f"{SYS}/"), ["python"])
    return python | _under(fields, f"{SYS}/packages/")


def _machine(fields: Mapping[str, Value]) -> dict[str, Value]:
    known = _chosen(_under(fields, f"{SYS}/"), ["device", "hostname", "platform"])
    return known | _under(fields, f"{SYS}/hardware/")


def _outline(first: RunRecord, second: RunRecord) -> tuple[ValuePair, ...]:
    one, other = (
        {name: run.fields.get(f"{SYS}/{name}") for name in ("recipe", "status", "seed")}
        | {"epochs": int(run.last.get(f"{EPOCH}/number", 0)), "steps": int(run.last.get("step", 0))}
        for run in (first, second)
    )
    return tuple(ValuePair(name, one[name], other[name]) for name in one)


def _same_data(first: Mapping[str, Value], second: Mapping[str, Value]) -> bool | None:
    one, other = (fields.get(f"{CONFIG}/dataset/fingerprint") for fields in (first, second))
    return None if one is None or other is None else one == other


def _uncommitted(first: str, second: str) -> SectionDiff:
    """By file; patches that add and take off as many lines may still differ, and then say so."""
    ours, theirs = _patches(first), _patches(second)
    differing, equal = [], {}
    for file in dict.fromkeys((*ours, *theirs)):
        one, other = (each.get(file) for each in (ours, theirs))
        sizes = [None if each is None else _size_of(each) for each in (one, other)]
        if one == other:
            equal[file] = sizes[0]
            continue
        if sizes[0] == sizes[1]:
            sizes[1] = f"{sizes[1]}, other lines"
        differing.append(ValuePair(file, *sizes))
    return SectionDiff(tuple(differing), equal)


def _patches(text: str) -> dict[str, str]:
    """By the name of a file: its part of a patch, empty for one that git does not track."""
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
    """The mean of an epoch and the value of a batch are not held against each other."""
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
            yield f"{run.run} had uncommitted changes that were not kept."
    if any(body == "" for run in (first, second) for body in _patches(run.patch).values()):
        yield "Of untracked files the names alone are known, not whether they are the same."
    steps = [int(run.last.get("step", 0)) for run in (first, second)]
    if steps[0] != steps[1]:
        yield (
            f"The runs are at different points of training, after {steps[0]:,} and {steps[1]:,} "
            "steps: so are their metrics."
        )
