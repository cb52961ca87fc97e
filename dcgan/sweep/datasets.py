"""The data sets of a sweep, decoded once and before several workers want them."""

from __future__ import annotations

from dcgan.data.image_set import ImageSet, Progress, silent
from dcgan.data.loading import load_images
from dcgan.jobs.prepare import check_batches
from dcgan.sweep.plan import Key, Sweep


def load_data(
    sweep: Sweep, *, download: bool = False, progress: Progress = silent
) -> dict[Key, int]:
    """Decode all data sets into the cache; check that each run's makes a batch.

    Returns how many images each run has. Raises DataError and ConfigError.
    """
    loaded: dict[str, ImageSet] = {}
    sizes = {}
    for trial in sweep.trials:
        dataset = trial.config.dataset
        name = dataset.model_dump_json()
        if name not in loaded:
            loaded[name] = load_images(dataset, download=download, progress=progress)
        sizes[trial.key] = loaded[name].card.size
        check_batches(trial.config, sizes[trial.key])
    return sizes
