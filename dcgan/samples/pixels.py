"""The pixels of a run's images for chosen latents, computed on all cores at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dcgan.choices import BatchNormMode, Weights
from dcgan.config.conflicts import normalises_pixels
from dcgan.cpu.fast_convolutions import with_fast_convolutions
from dcgan.cpu.threads import one_thread_per_operation
from dcgan.data.progress import Progress, silent
from dcgan.data.scaling import to_uint8
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.samples.latents import Latents
from dcgan.sampling import (
    BATCH,
    GenerationError,
    check_finite,
    generate,
)

MAX_IN_ONE_BATCH = 4096
"""The most images over which batch norm may take statistics, since all are in memory at once."""

_MAX_WORKERS = 16
"""Each worker holds the activations of a batch, about 100 MB at 64x64."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""uint8 images (N, H, W, C), with the values that the run's training images have."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Images:
    """Images that are computed batch by batch on demand.

    Attributes:
        count: Their number.
        name: The name of the k-th image, from 0, without a file extension.
        batches: Yields what `render` takes, BATCH images each.
        render: Computes the pixels of a batch, from any thread; the last batch may be padded
            beyond `count`.
    """

    count: int
    name: Callable[[int], str]
    batches: Callable[[], Iterator[Tensor]]
    render: Callable[[Tensor], Pixels]


def images_of(
    run: TrainedRun,
    latents: Latents,
    *,
    weights: Weights | None = None,
    mode: BatchNormMode = "eval",
) -> Images:
    """The images of a run's generator for chosen latents.

    Args:
        run: The run, at the checkpoint whose generator is used.
        latents: The latents of the images.
        weights: `current` for G, `ema` for its moving average; if omitted, those that the
            run's own grids use.
        mode: Batch norm by its running statistics (`eval`), so that an image depends on its latent
            alone, or by those of all these images (`train`).

    Raises:
        ConfigError: `weights` is `ema`, but the run has no moving average.
        GenerationError: Pixels are not finite, which `render` raises too, or there are too many
            for one batch, or too few for its statistics.
        LatentsError: Latents cannot be read.
    """
    generator = run.generator(weights)
    if mode == "train":
        if latents.count == 1 and normalises_pixels(run.config):
            raise GenerationError(
                "--mode train needs at least two images of this run: batch norm has one value of "
                "each in a channel.\nLeave it out, or choose more images with -n."
            )
        if latents.count > MAX_IN_ONE_BATCH:
            raise GenerationError(
                f"--mode train takes the statistics of all images together, of at most "
                f"{MAX_IN_ONE_BATCH:,}.\nLeave it out, or choose fewer images with -n."
            )
        together = torch.cat(list(latents.batches()))[: latents.count].to(run.device)
        images = generate(generator, together, mode).cpu()
        check_finite(images)
        return Images(latents.count, latents.name, lambda: iter(images.split(BATCH)), _to_pixels)
    generator.eval()
    # A GPU computes one batch while the PNGs of others are encoded.
    access = nullcontext() if run.device.type == "cpu" else Lock()

    def render(batch: Tensor) -> Pixels:
        with access, torch.inference_mode():
            images = with_fast_convolutions(generator, batch.to(run.device)).cpu()
        check_finite(images)
        return _to_pixels(images)

    return Images(latents.count, latents.name, latents.batches, render)


def render_all(images: Images, progress: Progress = silent) -> Iterator[Pixels]:
    """Compute images, batch by batch. progress: Called with those done, and `images.count`."""
    return map_rendered(images, lambda start, pixels: pixels, progress)


def map_rendered(
    images: Images, use: Callable[[int, Pixels], _Result], progress: Progress = silent
) -> Iterator[_Result]:
    """Compute images on all cores, and process each batch on the core that computed it.

    Each core computes its own batch: no core waits for another, and images do not depend on the
    number of threads. At most two batches per core are pending, so that memory is bounded.

    Args:
        images: The images.
        use: Takes the number of the batch's first image, and the batch.
        progress: Called with the number of images that are done, and `images.count`.

    Yields:
        The results of `use`, in order.
    """
    workers = min(os.cpu_count() or 1, _MAX_WORKERS)
    waiting: deque[Future[_Result]] = deque()
    done = 0

    def work(start: int, batch: Tensor) -> _Result:
        return use(start, images.render(batch)[: images.count - start])

    with one_thread_per_operation(), ThreadPoolExecutor(workers) as pool:
        starts = range(0, images.count, BATCH)
        for start, batch in zip(starts, images.batches(), strict=True):
            waiting.append(pool.submit(work, start, batch))
            while waiting and (len(waiting) >= 2 * workers or start == starts[-1]):
                yield waiting.popleft().result()
                done = min(done + BATCH, images.count)
                progress(done, images.count)


def render_as_in_grids(
    run: TrainedRun, latents: Latents, *, weights: Weights | None = None
) -> Pixels:
    """Compute all images for chosen latents, as the run's own grids show them.

    Args:
        run: The run, at the checkpoint whose generator is used.
        latents: The latents of the images.
        weights: As for `images_of`.

    Raises:
        ConfigError: `weights` is `ema`, but the run has no moving average.
        GenerationError: Pixels are not finite.
    """
    batches = render_all(images_of(run, latents, weights=weights))
    return as_in_grids(np.concatenate(list(batches)), run)


def as_in_grids(pixels: Pixels, run: TrainedRun) -> Pixels:
    """Pixels as the run's own grids show them: inverted if the recipe says so."""
    return 255 - pixels if run.config.images.inverted else pixels


def _to_pixels(images: Tensor) -> Pixels:
    return to_uint8(images).permute(0, 2, 3, 1).contiguous().numpy()
