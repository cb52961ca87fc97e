"""Writing images of 64x64 as PNGs, against G alone and against encoding alone.

G is that of `celeba`, with its initial weights: its speed does not depend on them. PNGs of real
photographs take longer to encode than those of noise without detail, so what is encoded is a
photograph's crops, in both sides. A block of each side is measured in turn. The bound is what both
together need when every core is busy: their processor time, divided by the number of cores.

    python benchmarks/samples.py [--images 50000] [--pairs 5] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from sklearn.datasets import load_sample_images
from torch import Tensor

from dcgan.config.loading import load_config
from dcgan.cpu.fast_convolutions import with_fast_convolutions
from dcgan.models import build_networks
from dcgan.samples.image_files import write_images
from dcgan.samples.latents import of_seed
from dcgan.samples.pixels import Images, Pixels
from dcgan.sampling import BATCH
from tracking.png import to_png

SIZE = 64
CORES = len(os.sched_getaffinity(0))


def photographs() -> Pixels:
    """Crops of scikit-learn's photographs at half their size, uint8 (BATCH, 64, 64, 3)."""
    rng = np.random.default_rng(0)
    crops = []
    for place in range(BATCH):
        picture = load_sample_images().images[place % 2][::2, ::2]
        top, left = (rng.integers(0, edge - SIZE) for edge in picture.shape[:2])
        crops.append(picture[top : top + SIZE, left : left + SIZE])
    return np.stack(crops)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    count = -(-options.images // options.pairs // BATCH) * BATCH
    config = load_config("celeba", [])
    generator, _ = build_networks(config, seed=0)
    crops = photographs()

    generator.eval()
    latents = of_seed(config.network, 0, count)

    @torch.inference_mode()
    def render(batch: Tensor) -> Pixels:
        with_fast_convolutions(generator, batch)
        return crops  # as slow to encode as a trained G's images

    def generate_alone() -> None:
        for batch in latents.batches():
            render(batch)

    def encode_alone() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(lambda _: [to_png(image) for image in crops], range(count // BATCH)):
                pass

    def write(folder: Path) -> None:
        write_images(Images(count, latents.name, latents.batches, render), folder, "folder")

    with tempfile.TemporaryDirectory() as place:
        render(next(latents.batches()))
        rows = []
        for pair in range(options.pairs):
            target = Path(place, str(pair))
            rows.append(
                [
                    measure(action)
                    for action in (generate_alone, encode_alone, lambda to=target: write(to))
                ]
            )
    seconds = [[wall for wall, _ in row] for row in rows]
    names = ("G alone", "encoding alone", "both, to a folder")
    medians = [statistics.median(column) for column in zip(*seconds, strict=True)]
    slower = statistics.median(row[2] / max(row[:2]) for row in seconds)
    bounds = [(row[0][1] + row[1][1]) / CORES for row in rows]
    of_bound = statistics.median(
        wall[2] / bound for wall, bound in zip(seconds, bounds, strict=True)
    )
    busy = statistics.median(row[2][1] / row[2][0] / CORES for row in rows)
    print(
        f"{machine}; {options.pairs} blocks of {count:,} images of {SIZE}x{SIZE} per side, "
        f"batches of {BATCH}"
    )
    print("| | images/s | 50,000 images |")
    print("|---|---|---|")
    for name, median in zip(names, medians, strict=True):
        print(f"| {name} | {count / median:,.0f} | {50_000 / count * median:.0f} s |")
    which = "G" if medians[0] > medians[1] else "encoding"
    print(
        f"\nThe slower side is {which}. Both together take {slower:.2f} times as long as it, and "
        f"{of_bound:.2f} times as long as the processor time of both over {CORES} cores, of which "
        f"{busy:.0%} are busy."
    )
    if options.output:
        result = {
            "machine": machine,
            "images_per_block": count,
            "seconds": dict(zip(names, zip(*seconds, strict=True), strict=True)),
            "of_slower_side": slower,
            "of_bound": of_bound,
            "cores_busy": busy,
        }
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(action: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
