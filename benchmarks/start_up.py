"""How long a user waits: for `dcgan --help`, and from `dcgan train` to its first step.

Each beside `python -c "import torch"`, which a training cannot do without; the three take turns.

    python benchmarks/start_up.py [--repetitions 7] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine

from tracking.backends.local import read_steps, run_folders

TORCH = (sys.executable, "-c", "import torch")
HELP = (sys.executable, "-m", "dcgan", "--help")
TRAIN = (sys.executable, "-m", "dcgan", "train", "--steps", "2", "--store")


def seconds(command: tuple[str, ...]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def seconds_to_first_step() -> float:
    """By the time that the journal gives the first step."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        seconds((*TRAIN, folder))
        (run,) = run_folders(Path(folder))
        return float(read_steps(run)["time"].iloc[0].timestamp() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    machine = describe_machine()
    times: dict[str, list[float]] = {"import torch": [], "dcgan --help": [], "dcgan train": []}
    for _ in range(given.repetitions):
        times["import torch"].append(seconds(TORCH))
        times["dcgan --help"].append(seconds(HELP))
        times["dcgan train"].append(seconds_to_first_step())
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(f"{machine}; medians of {given.repetitions}")
    print("| | seconds | of `import torch` |")
    print("|---|---|---|")
    for name, median in medians.items():
        print(f"| `{name}` | {median:.2f} | {median / medians['import torch']:.2f} |")
    if given.output:
        result = {"machine": machine, "seconds": medians}
        given.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
