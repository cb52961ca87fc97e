"""What the cache of decoded images gains, and what building it costs.

JPEGs of CelebA's size (178x218, 10 KB) are written to a temporary folder.

1. Reading: a shuffled epoch of batches of 128 images of 64x64, as the engine reads them from the
   cache, against `ImageFolder` and `DataLoader` with the same transforms and the best of
   several numbers of workers. Both sides pass over the set once before they are timed.
2. Building: images decoded per second, against the number of cores times what one core decodes
   alone.
3. Memory: the peak of all processes together while they build, for a set and for one four times
   as large. Pages that belong to files are not counted, because the system takes them back when
   it needs them.
4. Containers: the time to build from one zip, tar, tar.zst or parquet file with the same images,
   against the folder, in turn.
5. Starting: seconds until a set that is in the cache can be trained on, without the imports.

    python benchmarks/image_cache.py [--images 20000] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tarfile
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import loky
import numpy as np
import PIL.Image
import psutil
import pyarrow
import torch
from example_transforms import example_transforms
from machine import describe_machine
from pyarrow import parquet
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from dcgan.config.dataset import Dataset
from dcgan.data.decoding import ImageFormat, decode
from dcgan.data.loading import load_images
from dcgan.data.scaling import to_unit_range

BATCH, SIZE, REPETITIONS = 128, 64, 5
WORKERS = (0, 1, 2, 4, 8)


def write_jpegs(folder: Path, count: int) -> None:
    """Write smooth colours with some detail, about as large as CelebA's files (7 KB on average)."""
    rng = np.random.default_rng(0)
    (folder / "faces").mkdir(parents=True)
    for number in range(count):
        small = rng.integers(0, 256, (14, 11, 3), dtype=np.uint8)
        image = PIL.Image.fromarray(small).resize((178, 218), PIL.Image.Resampling.BICUBIC)
        noise = rng.normal(0, 1.5, (218, 178, 1))
        pixels = (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "faces" / f"{number:06d}.jpg", quality=90)


def read_from_cache(pixels: torch.Tensor) -> float:
    """Seconds for a shuffled epoch."""
    start = time.perf_counter()
    for indices in torch.randperm(len(pixels)).split(BATCH):
        to_unit_range(pixels[indices])
    return time.perf_counter() - start


def read_with_loader(folder: Path, workers: int) -> float:
    """Seconds for a shuffled epoch, without starting the workers."""
    loader = DataLoader(
        ImageFolder(str(folder), example_transforms(SIZE)),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    if workers:
        next(iter(loader))
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def build(folder: Path, cache: Path) -> float:
    """Seconds to build the cache, which is removed again."""
    os.environ["DCGAN_CACHE"] = str(cache)
    start = time.perf_counter()
    load_images(Dataset(name="folder", path=str(folder), image_size=SIZE))
    seconds = time.perf_counter() - start
    shutil.rmtree(cache)
    return seconds


def pack(files: list[Path], folder: Path) -> dict[str, Path]:
    """Write the files into one file of each kind; returns it by its kind."""
    packed = {kind: folder / f"all.{kind}" for kind in ("zip", "tar", "tar.zst", "parquet")}
    with zipfile.ZipFile(packed["zip"], "w") as into_zip:
        for file in files:
            into_zip.write(file, f"faces/{file.name}")
    with tarfile.open(packed["tar"], "w") as into_tar:
        for file in files:
            into_tar.add(file, f"faces/{file.name}")
    with pyarrow.output_stream(str(packed["tar.zst"]), compression="zstd") as compressed:
        compressed.write(packed["tar"].read_bytes())
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    # `datasets` writes groups of 100 rows of images.
    parquet.write_table(pyarrow.table({"image": cells}), packed["parquet"], row_group_size=100)
    return packed


def compare_containers(folder: Path, packed: dict[str, Path], cache: Path) -> dict[str, float]:
    """How many times as long as from the folder it takes to build from each container."""
    ratios: dict[str, list[float]] = {kind: [] for kind in packed}
    for _ in range(REPETITIONS):
        for kind, file in packed.items():
            seconds = build(file, cache)
            ratios[kind].append(seconds / build(folder, cache))
    return {kind: round(statistics.median(values), 2) for kind, values in ratios.items()}


def warm_start(folder: Path) -> float:
    """Seconds to load a set that is in the cache."""
    start = time.perf_counter()
    load_images(Dataset(name="folder", path=str(folder), image_size=SIZE))
    return time.perf_counter() - start


def build_memory(folder: Path, cache: Path) -> int:
    """Peak of the private memory of all processes during a build, in bytes."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        me = psutil.Process()
        while not done.wait(0.05):
            private = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    memory = process.memory_info()
                except psutil.Error:
                    continue
                private += memory.rss - memory.shared
            peak = max(peak, private)

    watcher = threading.Thread(target=watch)
    watcher.start()
    build(folder, cache)
    done.set()
    watcher.join()
    return peak


def decode_alone(files: list[Path]) -> float:
    """Images per second on one core."""
    image_format = ImageFormat((SIZE, SIZE), 3, "crop")
    start = time.perf_counter()
    decode(files, image_format)
    return len(files) / (time.perf_counter() - start)


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
        small_memory, large_memory = build_memory(quarter, cache), build_memory(folder, cache)
        build_rates, one_core_rates = [], []
        for _ in range(REPETITIONS):  # by now the processes run and the files are in memory
            one_core_rates.append(decode_alone(files[:2_000]))
            build_rates.append(options.images / build(folder, cache))
        build_rate, one_core_rate = map(statistics.median, (build_rates, one_core_rates))
        busy_share = build_rate / (one_core_rate * cores)

        containers = compare_containers(folder, pack(files, Path(temporary)), cache)

        pixels = load_images(Dataset(name="folder", path=str(folder), image_size=SIZE)).pixels
        start_seconds = statistics.median(warm_start(folder) for _ in range(REPETITIONS))
        read_from_cache(pixels)
        cache_seconds = statistics.median(read_from_cache(pixels) for _ in range(REPETITIONS))
        loader_seconds = {workers: read_with_loader(folder, workers) for workers in WORKERS}
    best = min(loader_seconds, key=lambda workers: loader_seconds[workers])
    result = {
        "images": options.images,
        "cores": cores,
        "machine": machine,
        "cache_images_per_second": round(options.images / cache_seconds),
        "loader_images_per_second": {
            str(workers): round(options.images / seconds)
            for workers, seconds in loader_seconds.items()
        },
        "best_workers": best,
        "reading_ratio": round(loader_seconds[best] / cache_seconds, 1),
        "build_images_per_second": round(build_rate),
        "one_core_images_per_second": round(one_core_rate),
        "building_share_of_cores": round(busy_share, 3),
        "container_ratios": containers,
        "warm_start_seconds": round(start_seconds, 3),
        "build_memory_mib": {
            str(options.images // 4): round(small_memory / 2**20),
            str(options.images): round(large_memory / 2**20),
        },
    }
    print(f"{machine}; {options.images:,} JPEGs of 178x218")
    print("| a shuffled epoch read from | images/s |")
    print("|---|---|")
    print(f"| the cache | {options.images / cache_seconds:,.0f} |")
    for workers, seconds in loader_seconds.items():
        print(f"| DataLoader, {workers} workers | {options.images / seconds:,.0f} |")
    print(
        f"\nReading from the cache is {result['reading_ratio']} times as fast as the best "
        f"DataLoader ({best} workers).\nBuilding keeps {busy_share:.2f} of {cores} cores busy; "
        f"four times the images take {large_memory / small_memory:.2f} times the memory."
    )
    print("\n| images in | time to build, of a folder's |")
    print("|---|---|")
    for kind, ratio in containers.items():
        print(f"| {kind} | {ratio:.2f} |")
    print(
        f"\nWith {options.images:,} files, a set in the cache is loaded in {start_seconds:.2f} s."
    )
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
