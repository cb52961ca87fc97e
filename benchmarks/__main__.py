"""Run benchmarks, and write what they print into benchmarks/README.md.

    python benchmarks [NAME ...]

Each also writes its numbers as JSON beside it. Without names all run, half an hour in all; the
section of one that is not named stays as it was. Nothing else should run beside them.
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
)
PLOTTED = {"scaling"}
HEADING = """# What was measured

Written by `make bench`, one section a benchmark: what it asks, then what it printed. The numbers
are beside it as JSON. Every claim of speed is a ratio of two sides that were measured in one run.
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
        parts = [sections[each] for each in NAMES if each in sections]
        PAGE.write_text("\n".join([HEADING, *parts]), encoding="utf-8")


def run(name: str) -> str:
    """One section of the page."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--output", str(HERE / f"{name}.json")]
    if name in PLOTTED:
        command += ["--plot", str(HERE / f"{name}.png")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.startswith("[neptune]"):  # its client greets on the standard output
            continue
        # A table needs an empty line before and after it.
        in_table = [each.startswith("|") for each in (lines[-1] if lines else line, line)]
        lines += ["\n", line] if in_table[0] != in_table[1] and line.strip() else [line]
    if process.wait() != 0:
        sys.exit(f"{name} failed.")
    tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    question = (ast.get_docstring(tree) or "").partition("\n")[0]
    picture = f"\n![{name}]({name}.png)\n" if name in PLOTTED else ""
    day = time.strftime("%Y-%m-%d")
    return f"## {name}\n\n{question}\n\nOn {day}: {''.join(lines).strip()}\n{picture}"


def read_sections() -> dict[str, str]:
    if not PAGE.exists():
        return {}
    parts = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part}".rstrip("\n") + "\n" for part in parts}


if __name__ == "__main__":
    main()
