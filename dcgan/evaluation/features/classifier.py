"""The classifier that this project trains itself, once for each labelled data set."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcgan.cache_dir import cache_folder
from dcgan.data.image_set import ImageSet
from dcgan.data.scaling import to_unit_range
from dcgan.data.sources.stacked_mnist import unstack
from dcgan.evaluation.features.lenet import LeNet
from tracking.atomic_files import atomic_write

FORMAT, SEED = 1, 0
HELD_OUT = 0.1
"""The share of the images on which the accuracy is measured, never trained on."""

IMAGES_SEEN, MOST_EPOCHS = 120_000, 30
"""Training ends after so many images: two epochs of MNIST, 30 of `digits`."""

LEAST_LABELLED = 1_000
"""Of fewer images a classifier learns too little for its features to mean much."""

_UNSTACKED = 20_000
"""Stacks whose digits are learnt from: as many digits as MNIST has to train on."""

_BATCH, _BLOCK = 128, 1_024


@dataclass(frozen=True, eq=False)
class Classifier:
    """accuracy: on held-out images, 0 to 1. digest: SHA-256 of the weights, 12 digits.

    stacked: whether each channel is an image of its own, as in stacked MNIST.
    """

    network: LeNet
    accuracy: float
    digest: str
    stacked: bool = False

    @property
    def count(self) -> int:
        """How many classes there are."""
        own = self.network.output.out_features
        return own**3 if self.stacked else own

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """uint8 images (n, C, H, W) to features, float32 (n, 128), or (n, 384) of stacked ones."""
        if not self.stacked:
            return self.network.features(to_unit_range(pixels))
        channels = to_unit_range(pixels.flatten(0, 1).unsqueeze(1))
        return self.network.features(channels).view(len(pixels), -1)

    @torch.no_grad()
    def classes(self, pixels: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) to the likeliest class, int64 (N,) on the CPU."""
        device = self.network.output.weight.device
        single = pixels.flatten(0, 1).unsqueeze(1) if self.stacked else pixels
        parts = [
            self.network(to_unit_range(each.to(device))).argmax(1).cpu()
            for each in single.split(_BLOCK)
        ]
        found = torch.cat(parts)
        return found.view(-1, 3) @ torch.tensor([100, 10, 1]) if self.stacked else found


def is_labelled(images: ImageSet) -> bool:
    """Whether a classifier can learn something of a set."""
    enough = len(images.pixels) >= LEAST_LABELLED
    return images.labels is not None and len(images.card.classes) > 1 and enough


def load_classifier(images: ImageSet, device: torch.device) -> Classifier:
    """The classifier of a labelled set: from the cache, or trained now and kept there.

    Its seed is 0; images and labels decide which one it is. Of stacked MNIST it is one of single
    digits. Raises ValueError where there are no labels.
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
        if not file.exists():
            _keep(file, *_train(images, device))
        content = file.read_bytes()
    kept = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    network = _untrained(images).to(device)
    network.load_state_dict(kept["weights"])
    return Classifier(network.eval(), kept["accuracy"], hashlib.sha256(content).hexdigest()[:12])


def _train(images: ImageSet, device: torch.device) -> tuple[LeNet, float]:
    """Adam with a rate that falls linearly; the accuracy afterwards."""
    assert images.labels is not None
    order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(SEED))
    held_out, rest = order.tensor_split([int(HELD_OUT * len(order))])
    network = _untrained(images).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    steps = min(IMAGES_SEEN, MOST_EPOCHS * len(rest)) // _BATCH
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    source = torch.Generator().manual_seed(SEED)
    for _ in range(steps):
        chosen = rest[torch.randint(len(rest), (_BATCH,), generator=source)]
        logits = network(to_unit_range(images.pixels[chosen].to(device)))
        loss = cross_entropy(logits, images.labels[chosen].to(device))
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


def _keep(file: Path, network: LeNet, accuracy: float) -> None:
    weights: dict[str, Tensor] = {k: v.cpu() for k, v in network.state_dict().items()}
    with atomic_write(file) as temporary:
        torch.save({"weights": weights, "accuracy": accuracy}, temporary)
