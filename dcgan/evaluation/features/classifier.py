"""The classifier that this project trains itself, once per labelled data set."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcgan.cache_dir import cache_folder
from dcgan.cpu.threads import one_thread_per_operation
from dcgan.data.image_set import ImageSet
from dcgan.data.scaling import to_unit_range
from dcgan.data.sources.stacked_mnist import unstack
from dcgan.evaluation.features.lenet import LeNet, weights_digest
from tracking.atomic_files import atomic_write

FORMAT, SEED = 2, 0
HELD_OUT = 0.1
"""The share of the images that are not trained on, to measure the accuracy."""

IMAGES_SEEN, MAX_EPOCHS = 120_000, 30
"""When training ends, in images and in epochs: two epochs of MNIST, 30 of `digits`."""

MIN_LABELLED = 1_000
"""Fewer images teach a classifier too little for its features to mean much."""

_UNSTACKED = 20_000
"""Stacks to learn digits from: three channels each, as many digits as MNIST's training split."""

_BATCH, _BLOCK = 128, 1_024


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier of images.

    Attributes:
        network: In evaluation mode.
        accuracy: On held-out images, 0 to 1.
        digest: The digest of the weights, see `weights_digest`.
        stacked: Whether each channel is a separate image, as in stacked MNIST.
    """

    network: LeNet
    accuracy: float
    digest: str
    stacked: bool = False

    @property
    def count(self) -> int:
        """How many classes there are."""
        outputs = self.network.output.out_features
        return outputs**3 if self.stacked else outputs

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """The features of uint8 images (n, C, H, W): float32 (n, 128), or (n, 384) if stacked."""
        if not self.stacked:
            return self.network.features(to_unit_range(pixels))
        channels = to_unit_range(pixels.flatten(0, 1).unsqueeze(1))
        return self.network.features(channels).view(len(pixels), -1)

    @torch.no_grad()
    def classes(self, pixels: Tensor) -> Tensor:
        """The likeliest classes of uint8 images (N, C, H, W): int64 (N,) on the CPU."""
        device = self.network.output.weight.device
        single = pixels.flatten(0, 1).unsqueeze(1) if self.stacked else pixels
        parts = [
            self.network(to_unit_range(batch.to(device))).argmax(1).cpu()
            for batch in single.split(_BLOCK)
        ]
        classes = torch.cat(parts)
        return classes.view(-1, 3) @ torch.tensor([100, 10, 1]) if self.stacked else classes


def is_labelled(images: ImageSet) -> bool:
    """Whether a set has classes, and enough images to learn them from."""
    enough = len(images.pixels) >= MIN_LABELLED
    return images.labels is not None and len(images.card.classes) > 1 and enough


def load_classifier(images: ImageSet, device: torch.device) -> Classifier:
    """The classifier of a labelled set: from the cache, or trained now and stored there.

    It depends only on the images and labels, not on threads or devices, except that another kind
    of processor may round differently. For stacked MNIST it classifies single digits. Raises
    ValueError if there are no labels.
    """
    if digits := unstack(images, _UNSTACKED):
        return replace(load_classifier(digits, device), stacked=True)
    if images.labels is None or len(images.card.classes) < 2:
        raise ValueError(f"{images.card.path} has no labels.")
    key = hashlib.sha256(f"{FORMAT} {SEED} {images.card.fingerprint}".encode())
    key.update(images.labels.numpy().tobytes())
    file = cache_folder() / "classifiers" / f"{key.hexdigest()[:24]}.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file.with_suffix(".lock")):
        saved = _read(file, images)
        if saved is None:
            saved = _train(images)
            _save(file, *saved)
    network, accuracy = saved
    return Classifier(network.to(device).eval(), accuracy, weights_digest(network))


def _read(file: Path, images: ImageSet) -> tuple[LeNet, float] | None:
    """The network in a file and its accuracy; None if there is none, or the file is damaged."""
    network = _untrained(images)
    try:
        with zipfile.ZipFile(file) as records:  # whose checksums PyTorch does not compare
            if records.testzip() is not None:
                return None
        saved = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(saved["weights"])
        return network, float(saved["accuracy"])
    except PermissionError:
        raise
    except Exception:  # an unpickler raises almost anything on a damaged file
        return None


@one_thread_per_operation()
def _train(images: ImageSet) -> tuple[LeNet, float]:
    """Train by Adam with a linearly falling rate; returns the accuracy as well."""
    assert images.labels is not None
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(SEED))
    held_out, rest = order.tensor_split([int(HELD_OUT * len(order))])
    network = _untrained(images).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    steps = min(IMAGES_SEEN, MAX_EPOCHS * len(rest)) // _BATCH
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    rng = torch.Generator().manual_seed(SEED)
    for _ in range(steps):
        chosen = rest[torch.randint(len(rest), (_BATCH,), generator=rng)]
        logits = network(to_unit_range(images.pixels[chosen]))
        loss = cross_entropy(logits, images.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    predicted = Classifier(network.eval(), 0.0, "").classes(images.pixels[held_out])
    return network, (predicted == images.labels[held_out]).double().mean().item()


def _untrained(images: ImageSet) -> LeNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return LeNet(images.pixels.shape[1], len(images.card.classes))


def _save(file: Path, network: LeNet, accuracy: float) -> None:
    weights: dict[str, Tensor] = {k: v.cpu() for k, v in network.state_dict().items()}
    with atomic_write(file) as temporary:
        torch.save({"weights": weights, "accuracy": accuracy}, temporary)
