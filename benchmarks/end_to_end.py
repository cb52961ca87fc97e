"""Training from a folder of JPEGs, against the official PyTorch example on the same folder.

JPEGs of CelebA's size (178x218) are written to a temporary folder. One side is what
`dcgan train celeba --data FOLDER` does: the cache of decoded images, which is built before the
first step, tracked metrics, and a grid in each block. The other side is the example's loop fed by
its own `ImageFolder`, transforms and `DataLoader` with `--workers 2`, the default. Blocks of
steps alternate between the two; a pair of neighbouring blocks gives a ratio.

    python benchmarks/end_to_end.py [--pairs 5] [--steps 10] [--images 10240] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from image_cache import write_jpegs
from interleaved import block_timer, interleave, peak_memory
from machine import describe_machine

from dcgan.cpu.allocator import keep_memory

BATCH, SIZE = 128, 64
PRECISIONS = ("fp32", "bf16")


def run_example(folder: str, precision: str, pipe: Connection) -> None:
    """Train as the example does, in float32 whatever `precision` is.

    Args:
        folder: The images.
        precision: Not used.
        pipe: To the process that times the blocks.
    """
    from itertools import count

    import torch
    from example_transforms import example_transforms
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder

    from dcgan.config.loading import load_config
    from dcgan.selftest.official_loop import train_officially

    dataset = ImageFolder(folder, example_transforms(SIZE))
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=2)
    batches = (images for _ in count() for images, _ in loader)
    train_officially(load_config("celeba", []), batches, torch.device("cpu"), block_timer(pipe))
    pipe.send(peak_memory())


def run_engine(folder: str, precision: str, pipe: Connection) -> None:
    """Train as `dcgan train celeba` does.

    Args:
        folder: The images.
        precision: `fp32` or `bf16`.
        pipe: To the process that times the blocks.
    """
    keep_memory()
    from dcgan.config.loading import load_config, parse_override
    from dcgan.jobs.prepare import RunMetadata, prepare
    from dcgan.jobs.run import run_job

    settings = {
        "dataset.name": "folder",
        "dataset.path": folder,
        "training.epochs": 1_000,
        "training.precision": precision,
        "images.every_steps": 10,
    }
    overrides = [parse_override(f"{key}={value}") for key, value in settings.items()]
    config = load_config("celeba", overrides)
    with tempfile.TemporaryDirectory() as store:
        job = prepare(config, "cpu", Path(store), (), RunMetadata())
        run_job(job, [], listen=lambda event: None, warn=print, stopping=block_timer(pipe))
    pipe.send(peak_memory())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="per block")
    parser.add_argument("--images", type=int, default=10_240)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    results: dict[str, object] = {"machine": machine, "images": options.images}
    print(f"{machine}; {options.pairs} pairs of blocks of {options.steps} steps of {BATCH} images")
    print("| precision | example, images/s | engine, images/s | ratio | range |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["DCGAN_CACHE"] = str(Path(temporary) / "cache")
        folder = Path(temporary) / "images"
        write_jpegs(folder, options.images)
        for precision in PRECISIONS:
            sides = (run_example, run_engine)
            timings = interleave(sides, (str(folder), precision), options.pairs, options.steps)
            example, engine = (BATCH / seconds for seconds in timings.medians)
            results[precision] = {
                "example_images_per_second": example,
                "engine_images_per_second": engine,
                "ratio": statistics.median(timings.ratios),
                "lowest": min(timings.ratios),
                "highest": max(timings.ratios),
            }
            print(
                f"| {precision} | {example:.0f} | {engine:.0f} "
                f"| {statistics.median(timings.ratios):.2f} "
                f"| {min(timings.ratios):.2f} to {max(timings.ratios):.2f} |",
                flush=True,
            )
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
