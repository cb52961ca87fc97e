"""The losses by which lists and tables show how a run is doing."""

from __future__ import annotations

from collections.abc import Mapping

from tracking.events import BATCH, EPOCH


def last_losses(last_values: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The losses of G and of D: means of the last epoch, or the last step's during the first.

    None for a loss that the run has not recorded.

    last_values: The last value of each of the run's metrics, by path.
    """
    generator, discriminator = (
        last_values.get(f"{EPOCH}/{loss}", last_values.get(f"{BATCH}/{loss}"))
        for loss in ("Gloss", "Dloss")
    )
    return generator, discriminator
