"""The events and the warnings of a run before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from dcgan.data.dataset_warnings import dataset_warnings
from dcgan.jobs.length import length_events
from dcgan.jobs.other_images import few_steps_warning
from dcgan.jobs.prepare import Job
from dcgan.profiling.step_memory import memory_warning
from dcgan.run_folder.best_step import settle_best_step
from dcgan.run_folder.describe import (
    COMMAND,
    THREADS,
    describe_configuration,
    describe_device,
    describe_environment,
)
from tracking.backends.local import read_fields
from tracking.clock import now_ms
from tracking.evaluation_paths import BEST_STEP
from tracking.events import SWEEP, Event, Fields
from tracking.fields import flatten, to_iso8601
from tracking.wording import plural


def opening_events(job: Job, folder: Path, arguments: Sequence[str]) -> Iterator[Event]:
    """Events that describe a new run; of a resumed run only what is not described yet.

    Args:
        job: The run that starts or resumes.
        folder: Its folder.
        arguments: The command line, for the record.
    """
    device = describe_device(job.config, job.device)
    if job.folder is not None:
        yield device
        resumed = to_iso8601(now_ms())
        yield Fields(
            {"sys/status": "running", "sys/ended": None, "sys/error": None, "sys/resumed": resumed}
        )
        recorded = read_fields(folder)
        best_step = settle_best_step(folder, job.checkpoint)
        if best_step != recorded.get(BEST_STEP):
            yield Fields({BEST_STEP: best_step})
        yield from length_events(folder, job.config.training, recorded)
        # A run can end while it is being described, which takes seconds.
        if job.checkpoint is None and COMMAND not in recorded:
            yield from _description(job, folder, arguments)
        return
    sweep = job.metadata.sweep
    # All at once, lest a run that is killed in between has no status, or a sweep misses it.
    yield Fields(
        {
            **device.values,
            "sys/status": "running",
            "sys/recipe": job.config.name,
            "sys/seed": job.config.seed,
            "sys/group": job.metadata.group,
            "sys/tags": list(job.metadata.tags),
            "sys/processes": job.world.size,
            **(flatten(asdict(sweep), SWEEP) if sweep else {}),
        }
    )
    yield from _description(job, folder, arguments)


def _description(job: Job, folder: Path, arguments: Sequence[str]) -> Iterator[Event]:
    """What is trained, from what and by which code; the command line is in the last event."""
    if job.initial_weights is not None:
        yield job.initial_weights.fields()
    yield from describe_configuration(job.config, job.images, folder)
    yield from describe_environment(arguments)


def run_warnings(job: Job) -> Iterator[str]:
    """Warnings about the images, the length and the memory of a new run, a sentence each."""
    yield from dataset_warnings(job.images.card)
    if few_steps := few_steps_warning(job.config, job.images.card.size):
        yield few_steps
    if little_memory := memory_warning(job.config, job.device, job.world):
        yield little_memory


def note_on_threads(job: Job, folder: Path) -> str | None:
    """A warning if a run resumes with another number of threads than before, else None."""
    before, now = read_fields(folder, alive=False).get(THREADS), torch.get_num_threads()
    if job.device.type != "cpu" or not isinstance(before, int) or before == now:
        return None
    return (
        f"This run was trained with {plural(before, 'thread')} and continues with {now}, so sums "
        f"are rounded differently. OMP_NUM_THREADS={before} continues it bit for bit."
    )
