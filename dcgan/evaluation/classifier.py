"""The classifier that this project trains itself, once for each labelled data set."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import filelock
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcgan.data import ImageSet, cache_folder, scale
from dcgan.evaluation.networks import LeNet
from tracking.files import replacing

FORMAT, SEED = 1, 0
HELD_OUT = 0.1
"""The share of the images on which the accuracy is measured, never trained on."""

IMAGES_SEEN, MOST_EPOCHS = 120_000, 30
"""Training ends after so many images: two epochs of MNIST, 30 of `digits`."""

_BATCH = 128


@dataclass(frozen=True, eq=False)
class Classifier:
    """accuracy: on held-out images, 0 to 1. digest: SHA-256 of the weights, 12 digits."""

    network: LeNet
    accuracy: float
    digest: str


def load_classifier(images: ImageSet, device: torch.device) -> Classifier:
    """The classifier of a labelled set: from the cache, or trained now and kept there.

    Its seed is 0; images and labels decide which one it is. Raises ValueError where there are
    no labels.
    """
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
        logits = network(scale(images.pixels[chosen].to(device)))
        loss = cross_entropy(logits, images.labels[chosen].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        right = sum(
            int((network(scale(images.pixels[part].to(device))).argmax(1).cpu() == truth).sum())
            for part, truth in ((each, images.labels[each]) for each in held_out.split(1024))
        )
    return network, right / len(held_out)


def _untrained(images: ImageSet) -> LeNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return LeNet(images.pixels.shape[1], len(images.card.classes))


def _keep(file: Path, network: LeNet, accuracy: float) -> None:
    weights: dict[str, Tensor] = {k: v.cpu() for k, v in network.state_dict().items()}
    with replacing(file) as temporary:
        torch.save({"weights": weights, "accuracy": accuracy}, temporary)
