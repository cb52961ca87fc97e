"""What the tree promises: short files, and modules that start without what is heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import REPOSITORY

FOLDERS = ("analysis", "benchmarks", "dcgan", "diagnosis", "examples", "tests", "tracking")
SUFFIXES = {".css", ".js", ".py", ".toml"}
MOST_LINES = 400


def test_no_source_file_is_longer_than_400_lines():
    files = [
        file
        for folder in FOLDERS
        for file in (REPOSITORY / folder).rglob("*")
        if file.suffix in SUFFIXES
    ]
    assert len(files) > 400
    lengths = {
        str(file.relative_to(REPOSITORY)): len(file.read_text(encoding="utf-8").splitlines())
        for file in files
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("module", ["dcgan.data.decoding", "dcgan.cpu.allocator"])
def test_what_runs_before_pytorch_or_without_it_does_not_import_it(module: str):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
