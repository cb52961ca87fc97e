"""The networks of the probes of D: the trained one, and the control, the same untrained."""

from __future__ import annotations

from torch import nn

from dcgan.config.schema import Config
from dcgan.models import build_networks
from dcgan.probes.errors import ProbeError
from dcgan.run_folder.trained_run import TrainedRun


def trained_discriminator(run: TrainedRun) -> nn.Sequential:
    """D of a run; raises ProbeError if its weights are not finite."""
    discriminator = run.discriminator()
    tensors = discriminator.state_dict().values()
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise ProbeError(
            f"The discriminator of {run.folder.name} at step {run.step:,} has weights that are not "
            "finite numbers: its training has diverged.\nChoose an earlier checkpoint with "
            "--checkpoint STEP, or train again with a smaller optimizer.lr."
        )
    return discriminator


def untrained_discriminator(config: Config) -> nn.Sequential:
    """D with random weights other than those that the training started from."""
    _, discriminator = build_networks(config, config.seed + 1)
    return discriminator
