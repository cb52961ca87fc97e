"""A user's request for a sweep, and the sweep that it means: a new one, or one in the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcgan.choices import Executor
from dcgan.config.loading import Override
from dcgan.evaluation.features.feature_space import count_spaces
from dcgan.jobs.initial_weights import check_fixed_weights
from dcgan.jobs.overrides import data_overrides
from dcgan.sweeping.definition import read_definition
from dcgan.sweeping.plan import Factor, Sweep, plan_sweep
from dcgan.sweeping.storage import StoredSweep, find_sweep
from tracking.backends import check_trackers
from tracking.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """A sweep as the user asks for it.

    Attributes:
        subject: The name of a sweep or a recipe, or the path of a file with either.
        name: The sweep's name; by default that of the subject.
        factors: Keys to vary and their values, which replace the subject's values of these keys.
        seeds: The seeds of every arm; None for those of the subject.
        overrides: Settings of all runs alike.
        data: The folder or file of images; None for the recipe's own place.
        data_flag: What the user typed before its path, for messages.
        resume: Whether a sweep in the store is to be finished.
        trackers: The backends besides the local journal.
    """

    subject: str
    name: str | None = None
    factors: tuple[Factor, ...] = ()
    seeds: tuple[int, ...] | None = None
    overrides: tuple[Override, ...] = ()
    data: Path | None = None
    data_flag: str = "--data "
    resume: bool = False
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Where the runs of a sweep are to be trained.

    Attributes:
        executor: `loky` for this machine, or a `ray` or `dask` cluster.
        cluster: The address of the cluster's head; None for the one that the environment names.
        jobs: Runs to train at once; None for one per core, or one per GPU.
        device: `auto`, or a device's name.
    """

    executor: Executor = "loky"
    cluster: str | None = None
    jobs: int | None = None
    device: str = "auto"


def find_or_plan(request: SweepRequest, store: Path) -> tuple[Sweep, StoredSweep | None]:
    """The sweep that a request means, and the stored sweep if it is to be resumed.

    Raises:
        ConfigError: There is no such sweep or recipe, or a run's configuration is not valid.
        StoreError: There is no such sweep to resume, or no run that `init.weights` names.
        CheckpointError: Weights cannot be read.
        UserError: A stored sweep is tracked to other backends.
    """
    changes_plan = bool(request.factors or request.overrides or request.data)
    stored_sweep = None
    if request.resume and not changes_plan and request.seeds is None:
        subject = request.subject
        reference = read_definition(subject).name if subject.endswith(".toml") else subject
        stored_sweep = find_sweep(store, request.name or reference)
        plan = stored_sweep.sweep
    else:
        plan = _plan(request)
        for run in plan.runs:
            if run.seed == plan.seeds[0]:  # the others of its arm have the same networks
                check_fixed_weights(run.config, store)
        if request.resume:
            stored_sweep = find_sweep(store, plan.name, plan)
    if stored_sweep and request.trackers and {*request.trackers} != {*stored_sweep.trackers}:
        raise UserError(
            f"{stored_sweep.id} is tracked to {', '.join(('local', *stored_sweep.trackers))} "
            "only.\nLeave trackers out; dcgan sync can send finished runs to another tracker."
        )
    return plan, stored_sweep


def _plan(request: SweepRequest) -> Sweep:
    definition = read_definition(request.subject)
    own_keys = {factor.key for factor in request.factors}
    factors = [factor for factor in definition.factors if factor.key not in own_keys]
    factors += request.factors
    # Those of one arm: without them the settings may not be valid.
    arm = [Override(each.key, each.values[0], each.origin) for each in factors if each.values]
    settings = [*request.overrides, *arm]
    images = data_overrides(definition.recipe, settings, request.data, request.data_flag)
    return plan_sweep(
        request.name or definition.name,
        definition.recipe,
        [*request.overrides, *images],
        factors,
        definition.seeds if request.seeds is None else request.seeds,
    )


def trackers_of(subject: str) -> tuple[str, ...]:
    """The trackers that a sweep's file names; raises UserError for one that does not exist."""
    return tuple(check_trackers(list(read_definition(subject).trackers)))


def evaluated_spaces(plan: Sweep) -> int:
    """In how many feature spaces most runs of a sweep are evaluated; 0 if most are not."""
    evaluated = [run.config.evaluation for run in plan.runs if run.config.evaluation.every_epochs]
    if 2 * len(evaluated) < len(plan.runs):
        return 0
    return max(count_spaces(use_inception=each.inception) for each in evaluated)
