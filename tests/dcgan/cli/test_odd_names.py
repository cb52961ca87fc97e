"""Names of recipes and stores with brackets, which Rich would take for markup, and with spaces."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcgan.cli import app
from tests.dcgan.conftest import SMALL


@pytest.mark.parametrize("name", ["a [/b] c", "[bold]", "'"])
def test_a_training_prints_them_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (*SMALL, "training.epochs=1", f'name="{name}"')
    options = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(
        app, ["train", "digits", *options, "--store", f"my {name}"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{name}: 1,797 images")
    assert f"run         my {name}" in result.output
    line = next(line for line in result.output.splitlines() if "dcgan plot" in line)
    assert shlex.split(line)[3:5] == ["--store", f"my {name}"]
