"""How long a user waits for `dcgan --help`, and after `dcgan train` for the first step.

Both are compared with `python -c "import torch"`, which no training can do without, and with
`import torch, torchvision`, with which the official example begins; the four take turns.

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

IMPORTS = ("import torch", "import torch, torchvision")
HELP = (sys.executable, "-m", "dcgan", "--help")
TRAIN = (sys.executable, "-m", "dcgan", "train", "--steps", "2", "--store")


def seconds(command: tuple[str, ...]) -> float:
    """Seconds from start to exit of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def seconds_to_first_step() -> float:
    """Seconds from the start of a training to the time of its first step in the journal."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        seconds((*TRAIN, folder))
        (run,) = run_folders(Path(folder))
        return float(read_steps(run)["time"].iloc[0].timestamp() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    machine = describe_machine()
    times: dict[str, list[float]] = {name: [] for name in (*IMPORTS, "dcgan --help", "dcgan train")}
    for _ in range(options.repetitions):
        for statement in IMPORTS:
            times[statement].append(seconds((sys.executable, "-c", statement)))
        times["dcgan --help"].append(seconds(HELP))
        times["dcgan train"].append(seconds_to_first_step())
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(f"{machine}; medians of {options.repetitions}")
    print("| | seconds | of `import torch` | of `import torch, torchvision` |")
    print("|---|---|---|---|")
    for name, median in medians.items():
        ratios = " | ".join(f"{median / medians[statement]:.2f}" for statement in IMPORTS)
        print(f"| `{name}` | {median:.2f} | {ratios} |")
    if options.output:
        result = {"machine": machine, "seconds": medians}
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
