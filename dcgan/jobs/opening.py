"""What a run records, and warns of, before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from dcgan.data.doubts import doubts_about
from dcgan.jobs.length import length_events
from dcgan.jobs.other_images import doubt_about_length
from dcgan.jobs.prepare import Job
from dcgan.profiling.step_memory import doubt_about_memory
from dcgan.run_folder.describe import (
    THREADS,
    describe_configuration,
    describe_device,
    describe_environment,
)
from tracking.backends.local import read_fields
from tracking.clock import now_ms
from tracking.events import SWEEP, Event, Fields
from tracking.fields import flatten, to_iso8601


def opening_events(job: Job, folder: Path, arguments: Sequence[str]) -> Iterator[Event]:
    """Events that describe a new run; a resumed run keeps its description and adds the time.

    Args:
        job: The run that starts or resumes.
        folder: Its folder.
        arguments: The command line, for the record.
    """
    yield describe_device(job.config, job.device)
    if job.folder is not None:
        resumed = to_iso8601(now_ms())
        yield Fields(
            {"sys/status": "running", "sys/ended": None, "sys/error": None, "sys/resumed": resumed}
        )
        if job.has_new_length:
            yield from length_events(folder, job.config.training, read_fields(folder))
        return
    sweep = job.metadata.sweep
    yield Fields(
        {
            "sys/status": "running",
            "sys/recipe": job.config.name,
            "sys/seed": job.config.seed,
            "sys/group": job.metadata.group,
            "sys/tags": list(job.metadata.tags),
            "sys/processes": job.world.size,
            **(flatten(asdict(sweep), SWEEP) if sweep else {}),
        }
    )
    if job.initial_weights is not None:
        yield job.initial_weights.fields()
    yield from describe_configuration(job.config, job.images, folder)
    yield from describe_environment(arguments)


def doubts(job: Job) -> Iterator[str]:
    """One sentence for each doubt about the images, the length or the memory of a new run."""
    yield from doubts_about(job.images.card)
    if doubt := doubt_about_length(job.config, job.images.card.size):
        yield doubt
    if doubt := doubt_about_memory(job.config, job.device, job.world):
        yield doubt


def note_on_threads(job: Job, folder: Path) -> str | None:
    """A warning if a run resumes with another number of threads than before, else None."""
    before, now = read_fields(folder, alive=False).get(THREADS), torch.get_num_threads()
    if job.device.type != "cpu" or before is None or before == now:
        return None
    return (
        f"This run was trained with {before} threads and continues with {now}, so sums are rounded "
        f"differently. OMP_NUM_THREADS={before} continues it bit for bit."
    )
