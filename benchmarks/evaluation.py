"""How long an evaluation takes: all metrics over 10,000 fakes of MNIST's size.

The images are random, with MNIST's shape and with labels, and G has its initial weights: the time
does not depend on what is drawn. The classifier whose features are used is trained first, once
per data set. The search for nearest neighbours is compared with scikit-learn's, and the Inception
of plain FID with torch-fidelity's own network, in turns and by processor time, if its weights are
installed.

    python benchmarks/evaluation.py [--samples 10000] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from machine import describe_machine
from sklearn.neighbors import NearestNeighbors

from dcgan.config.loading import load_config
from dcgan.data.image_set import DatasetCard, ImageSet
from dcgan.evaluation.evaluator import evaluate, make_reference
from dcgan.evaluation.features.feature_space import own_space
from dcgan.evaluation.features.inception import BATCH, find_archive, load_inception
from dcgan.evaluation.features.inception_network import inception_network, read_archive
from dcgan.evaluation.metrics.distances import frechet_distance, kernel_distance
from dcgan.evaluation.metrics.image_space import multiscale_similarity, sliced_wasserstein_distance
from dcgan.evaluation.metrics.nearest_neighbours import (
    distances_to_training_images,
    memorisation,
    nearest,
    precision_recall_density_coverage,
    two_sample_accuracy,
)
from dcgan.models import build_networks
from dcgan.sampling import draw_pixels

CPU = torch.device("cpu")
INCEPTION_OPERATIONS = 11.4e9
"""Additions and multiplications of Inception-v3 for one image of 299x299."""

NEIGHBOURS = 5
LIMIT = 60.0
"""Seconds that these metrics may take over one set of fakes and of real images."""


def labelled_noise(count: int) -> ImageSet:
    """Random images (count, 1, 28, 28) with random labels of ten classes."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=rng)
    labels = torch.randint(0, 10, (count,), generator=rng)
    classes = tuple("0123456789")
    card = DatasetCard("noise", count, classes, (0,) * 10, (0.0,), (1.0,), "", f"noise of {count}")
    return ImageSet(pixels, card, labels)


def seconds(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def inception_times(rounds: int) -> dict[str, float] | None:
    """Processor time per image of 32x32 of two networks in turns; None without weights.

    Args:
        rounds: Batches of each side, after one that is not counted.

    Returns:
        Milliseconds per image: `torch-fidelity`, `ours`, and `bound`, in which a large product of
        matrices would do as many operations.
    """
    archive = find_archive()
    if archive is None:
        return None
    theirs = inception_network(read_archive(archive.read_bytes()))
    ours = load_inception(archive, CPU).extract
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, generator=rng)
    square = torch.randn(2_048, 2_048, generator=rng)
    sides: dict[str, Callable[[], object]] = {
        "torch-fidelity": lambda: theirs(pixels),
        "ours": lambda: ours(pixels),
        "bound": lambda: square @ square,
    }
    images = dict.fromkeys(sides, BATCH)
    images["bound"] = 2 * len(square) ** 3 / INCEPTION_OPERATIONS  # as many as a product is worth
    spent = dict.fromkeys(sides, 0.0)
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, action in sides.items():
                start = time.process_time()
                action()
                spent[name] += (time.process_time() - start) * (turn > 0)
    return {name: 1e3 * spent[name] / rounds / images[name] for name in sides}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine, count = describe_machine(), options.samples
    print(f"{machine}; {count:,} fakes and twice as many real images of 28x28")
    config = load_config("mnist-ablation", [])
    generator, _ = build_networks(config, seed=0)
    draw = partial(draw_pixels, generator, config.network, CPU)
    images = labelled_noise(2 * count)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["DCGAN_CACHE"] = cache
        classifier_seconds = seconds(lambda: own_space(images, CPU))
        space = own_space(images, CPU)
        start = time.perf_counter()
        reference = make_reference(images, None, [space], count)
        real_seconds = time.perf_counter() - start
        fake_seconds = seconds(lambda: evaluate(draw, reference, resamples=1))
        fake = draw(count, 0)
        features = space.features(fake)
        real, all_train = reference.spaces[0].train, reference.all_train_features
        parts: dict[str, Callable[[], object]] = {
            "drawing": lambda: draw(count, 0),
            "features": lambda: space.features(fake),
            "FID": lambda: frechet_distance(real, features),
            "KID": lambda: kernel_distance(real, features),
            "precision, recall, density, coverage": lambda: precision_recall_density_coverage(
                real, features
            ),
            "1-NN two-sample accuracy": lambda: two_sample_accuracy(real, features),
            "memorisation": lambda: memorisation(
                reference.held_out_distances, distances_to_training_images(features, all_train)
            ),
            "sliced Wasserstein": lambda: sliced_wasserstein_distance(reference.train, fake),
            "MS-SSIM": lambda: multiscale_similarity(fake),
        }
        times = {name: seconds(action) for name, action in parts.items()}
        nearest_seconds = seconds(lambda: nearest(features, real, NEIGHBOURS))
        search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute")
        search.fit(real.numpy())
        sklearn_seconds = seconds(lambda: search.kneighbors(features.numpy()))
        inception = inception_times(rounds=3)
    print("| | s |")
    print("|---|---|")
    for name, value in times.items():
        print(f"| {name} | {value:.1f} |")
    print(f"| all of one set of fakes | {fake_seconds:.1f} |")
    print(f"| the same of held-out real images, once | {real_seconds:.1f} |")
    print(f"| training the classifier, once per data set | {classifier_seconds:.1f} |")
    total, ratio = fake_seconds + real_seconds, sklearn_seconds / nearest_seconds
    print(
        f"\nAll metrics take {total:.0f} s, {'below' if total < LIMIT else 'NOT below'} "
        f"{LIMIT:.0f} s. The {NEIGHBOURS} nearest of each fake take {nearest_seconds:.2f} s, "
        f"scikit-learn's brute force {sklearn_seconds:.2f} s: {ratio:.1f} times as long."
    )
    if inception is not None:
        ours, theirs, bound = (inception[name] for name in ("ours", "torch-fidelity", "bound"))
        print(
            f"\nInception takes {ours:.0f} ms of processor time per image of 32x32, "
            f"torch-fidelity's network {theirs:.0f} ms: {theirs / ours:.2f} times as much. A "
            f"matrix product of as many operations takes {bound:.0f} ms, so that "
            f"{bound / ours:.0%} of it is arithmetic. 10,000 fakes take "
            f"{10_000 * ours / 2 / 60e3:.1f} minutes of two cores."
        )
    if options.output:
        result = {
            "machine": machine,
            "samples": count,
            "seconds": {**times, "one set": fake_seconds, "real images": real_seconds},
            "classifier_seconds": classifier_seconds,
            "neighbours_ratio": ratio,
            "inception_ms": inception,
        }
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
