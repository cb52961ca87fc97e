"""Run benchmarks and write what they print into benchmarks/README.md.

    python benchmarks [NAME ...]

Each benchmark also writes its numbers to a JSON file beside it. Without names all of them run,
which takes half an hour; the sections of benchmarks that do not run stay as they are. Nothing
else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
NAMES = (
    "training_step",
    "end_to_end",
    "scaling",
    "start_up",
    "image_cache",
    "tracking_overhead",
    "tracking_calls",
    "local_store",
    "comparison",
    "plots",
    "evaluation",
    "samples",
    "statistical_tests",
)
PLOTTED = {"scaling"}
HEADING = """# Benchmark results

Written by `make bench`, one section per benchmark: its question, then its output. The numbers are
in JSON files beside this one. Every claim about speed is a ratio of two sides measured in one run.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=NAMES, metavar="NAME", default=[])
    names = parser.parse_args().names or NAMES
    sections = read_sections()
    for name in names:
        print(f"\n{name} ...", flush=True)
        sections[name] = run(name)
        elsewhere = [each for each in sections if each not in NAMES]  # measured on a GPU
        ordered = [sections[each] for each in (*NAMES, *elsewhere) if each in sections]
        PAGE.write_text("\n".join([HEADING, *ordered]), encoding="utf-8")


def run(name: str) -> str:
    """Run a benchmark and return its section of the page; exits if the benchmark fails."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--output", str(HERE / f"{name}.json")]
    if name in PLOTTED:
        command += ["--plot", str(HERE / f"{name}.png")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.startswith("[neptune]"):  # Neptune's client prints a greeting
            continue
        # A table needs an empty line before and after it.
        was_table, is_table = (lines[-1] if lines else line).startswith("|"), line.startswith("|")
        lines += ["\n", line] if was_table != is_table and line.strip() else [line]
    if process.wait() != 0:
        sys.exit(f"{name} failed.")
    module = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    question = (ast.get_docstring(module) or "").partition("\n")[0]
    picture = f"\n![{name}]({name}.png)\n" if name in PLOTTED else ""
    day = time.strftime("%Y-%m-%d")
    return f"## {name}\n\n{question}\n\nOn {day}: {''.join(lines).strip()}\n{picture}"


def read_sections() -> dict[str, str]:
    """The sections of the page as it stands, by the benchmark's name."""
    if not PAGE.exists():
        return {}
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part}".rstrip("\n") + "\n" for part in parts}


if __name__ == "__main__":
    main()
