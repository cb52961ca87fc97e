"""What the cache of decoded images gains, and what building it costs.

JPEGs of CelebA's size (178x218, 10 KB) are written to a temporary folder.

1. Reading: a shuffled epoch of 64x64 batches of 128, as the engine reads them from the
   cache, against `ImageFolder` and `DataLoader` with the same transforms and the best of
   several numbers of workers. Both sides pass over the set once before they are timed.
2. Building: images decoded in a second, against the number of cores times those that one
   core decodes alone.
3. Memory: the most that the whole tree of processes takes while it builds, for a set and
   for one four times as large. Pages that belong to files are not counted: the system takes
   them back when it needs them.

    python benchmarks/image_cache.py [--images 20000] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import loky
import numpy as np
import PIL.Image
import psutil
import torch
from machine import describe_machine
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from dcgan.config.schema import Dataset
from dcgan.data.decoding import Form, decode
from dcgan.data.loading import load_images
from dcgan.data.scaling import to_unit_range

BATCH, SIZE, REPETITIONS = 128, 64, 5
WORKERS = (0, 1, 2, 4, 8)


def write_jpegs(folder: Path, count: int) -> None:
    """Smooth colours with some detail, about as large as CelebA's files (7 KB on average)."""
    random = np.random.default_rng(0)
    (folder / "faces").mkdir(parents=True)
    for number in range(count):
        small = random.integers(0, 256, (14, 11, 3), dtype=np.uint8)
        image = PIL.Image.fromarray(small).resize((178, 218), PIL.Image.Resampling.BICUBIC)
        noise = random.normal(0, 1.5, (218, 178, 1))
        pixels = (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "faces" / f"{number:06d}.jpg", quality=90)


def read_from_cache(pixels: torch.Tensor) -> float:
    """Seconds for a shuffled epoch."""
    began = time.perf_counter()
    for indices in torch.randperm(len(pixels)).split(BATCH):
        to_unit_range(pixels[indices])
    return time.perf_counter() - began


def read_with_loader(folder: Path, workers: int) -> float:
    """Seconds for a shuffled epoch, without the start of the workers."""
    steps = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    normalised = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    loader = DataLoader(
        ImageFolder(str(folder), normalised),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    if workers:
        next(iter(loader))
    began = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - began


def build(folder: Path, cache: Path) -> float:
    """Seconds."""
    os.environ["DCGAN_CACHE"] = str(cache)
    began = time.perf_counter()
    load_images(Dataset(name="folder", path=str(folder), image_size=SIZE))
    seconds = time.perf_counter() - began
    shutil.rmtree(cache)
    return seconds


def memory_of_build(folder: Path, cache: Path) -> int:
    """The most bytes that the processes took for themselves."""
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        me = psutil.Process()
        while not done.wait(0.05):
            taken = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    memory = process.memory_info()
                except psutil.Error:
                    continue
                taken += memory.rss - memory.shared
            most = max(most, taken)

    watcher = threading.Thread(target=watch)
    watcher.start()
    build(folder, cache)
    done.set()
    watcher.join()
    return most


def decode_alone(files: list[Path]) -> float:
    """Images a second on one core."""
    form = Form(SIZE, 3, "crop")
    began = time.perf_counter()
    decode(files, form)
    return len(files) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine, cores = describe_machine(), loky.cpu_count()
    with tempfile.TemporaryDirectory() as temporary:
        folder, quarter = Path(temporary) / "all", Path(temporary) / "quarter"
        write_jpegs(folder, options.images)
        files = sorted((folder / "faces").iterdir())
        (quarter / "faces").mkdir(parents=True)
        for file in files[: options.images // 4]:
            os.link(file, quarter / "faces" / file.name)

        cache = Path(temporary) / "cache"
        small, large = memory_of_build(quarter, cache), memory_of_build(folder, cache)
        built, alone = [], []
        for _ in range(REPETITIONS):  # the processes run, the files are in memory
            alone.append(decode_alone(files[:2_000]))
            built.append(options.images / build(folder, cache))
        share = statistics.median(built) / (statistics.median(alone) * cores)

        pixels = load_images(Dataset(name="folder", path=str(folder), image_size=SIZE)).pixels
        read_from_cache(pixels)
        cached = statistics.median(read_from_cache(pixels) for _ in range(REPETITIONS))
        loaders = {workers: read_with_loader(folder, workers) for workers in WORKERS}
    best = min(loaders, key=lambda workers: loaders[workers])
    result = {
        "images": options.images,
        "cores": cores,
        "machine": machine,
        "cache_images_per_second": round(options.images / cached),
        "loader_images_per_second": {
            str(workers): round(options.images / each) for workers, each in loaders.items()
        },
        "best_workers": best,
        "reading_ratio": round(loaders[best] / cached, 1),
        "build_images_per_second": round(statistics.median(built)),
        "one_core_images_per_second": round(statistics.median(alone)),
        "building_share_of_cores": round(share, 3),
        "build_memory_mib": {
            str(options.images // 4): round(small / 2**20),
            str(options.images): round(large / 2**20),
        },
    }
    print(f"{machine}; {options.images:,} JPEGs of 178x218")
    print("| a shuffled epoch read by | images/s |")
    print("|---|---|")
    print(f"| the cache | {options.images / cached:,.0f} |")
    for workers, each in loaders.items():
        print(f"| DataLoader, {workers} workers | {options.images / each:,.0f} |")
    print(
        f"\nReading from the cache is {result['reading_ratio']} times as fast as the best "
        f"DataLoader ({best} workers).\nBuilding keeps {share:.2f} of "
        f"{cores} cores busy; four times the images take {large / small:.2f} times the memory."
    )
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
