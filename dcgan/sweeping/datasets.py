"""The data sets of a sweep, decoded once, before several workers need them."""

from __future__ import annotations

from dcgan.data.image_set import ImageSet
from dcgan.data.loading import load_images
from dcgan.jobs.prepare import check_batches
from dcgan.sweeping.plan import RunKey, Sweep


def load_data(sweep: Sweep, *, download: bool = False) -> dict[RunKey, int]:
    """Decode all data sets of a sweep into the cache, and check every run's batch size.

    Args:
        sweep: The sweep.
        download: Whether torchvision may download missing data.

    Returns:
        The number of images of each run.

    Raises:
        DataError: Images cannot be loaded.
        ConfigError: A run's batches cannot be trained on.
    """
    images_by_dataset: dict[str, ImageSet] = {}
    sizes = {}
    for run in sweep.runs:
        dataset = run.config.dataset.model_dump_json()
        if dataset not in images_by_dataset:
            images_by_dataset[dataset] = load_images(run.config.dataset, download=download)
        sizes[run.key] = images_by_dataset[dataset].card.size
        check_batches(run.config, sizes[run.key])
    return sizes
