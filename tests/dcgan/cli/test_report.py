"""`dcgan report`, as a user meets it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcgan.cli import app
from dcgan.report_images import generator_images
from tests.support.sample_journals import write_journal
from tests.support.untrained_run import write_untrained_run
from tracking.errors import StoreWarning


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for seed in range(2):
        write_journal(folder, f"with-{seed:06d}", seed=seed)
        write_journal(folder, f"without-{seed:06d}", seed=seed, init__scheme="default")
    return folder


def report(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["report", "--store", str(store), *arguments], env={"COLUMNS": "160"}
    )


def test_the_end_of_the_name_says_what_is_written(store: Path, tmp_path: Path) -> None:
    for name, start in (("a.html", "<!DOCTYPE html>"), ("a.md", "# Does init.scheme")):
        result = report(store, "--metric", "Gloss", "-o", str(tmp_path / name))
        assert result.exit_code == 0, result.output
        assert str(tmp_path / name) in result.output
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert "Figures: " in result.output


def test_the_format_can_be_said(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "paper"
    result = report(store, "with-000001", "--format", "pdf", "-o", str(file))
    assert result.exit_code == 0, result.output
    assert file.read_bytes().startswith(b"%PDF-")


def test_runs_are_chosen_as_in_compare(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.md"
    result = report(store, "--where", "seed == 1", "--metric", "Gloss", "-o", str(file))
    assert result.exit_code == 0, result.output
    assert "- Seeds: 1\n" in file.read_text(encoding="utf-8")


def test_what_is_shared_has_no_secret_and_no_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of earlier versions were tracked as they were typed, and so are those of others."""
    monkeypatch.setenv("HOME", "/home/ada-lovelace")
    monkeypatch.setenv("MY_SERVICE_TOKEN", "tok-5f2d8a")
    address = "http://ada:S3cretPassw0rd@127.0.0.1:9"
    write_journal(
        tmp_path / "runs",
        "open-000000",
        seed=0,
        dataset__path="/home/ada-lovelace/faces",
        fields={
            "sys/command": f"dcgan train --data {address} --tag tok-5f2d8a",
            "sys/name": "run of tok-5f2d8a",
            "sys/git/remote": address,
            "sys/tags": ["tok-5f2d8a", "plain tag"],
        },
    )
    command = ["dcgan", "report", "--from", address, "--where", "name != 'tok-5f2d8a'"]
    monkeypatch.setattr(sys, "argv", command)
    assert report(tmp_path / "runs", "-o", str(tmp_path / "r.md")).exit_code == 0
    files = [tmp_path / "r.md", *(tmp_path / "r_files").iterdir()]
    shared = {file.name: file.read_bytes().decode(errors="replace") for file in files}
    for secret in ("S3cretPassw0rd", "tok-5f2d8a", "ada-lovelace"):
        assert [name for name, text in shared.items() if secret in text] == []
    assert "dcgan report --from http://127.0.0.1:9" in shared["r.md"]
    assert "dcgan train --data http://127.0.0.1:9 --tag REDACTED" in shared["r.md"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "report.docx"], "should end in .html, .md or .pdf"),
        (["--by", "init.skeme"], "Did you mean init.scheme"),
        (["--metric", "fid"], "no run has it"),
        (["nobody"], "There is no run 'nobody'"),
        (["with-000000", "--by", "init.scheme"], "There is only one run, with-000000: there is"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = report(store, *arguments)
    assert result.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", result.output)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_the_report_on_one_run_shows_what_its_generator_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_untrained_run(tmp_path / "runs", "digits-aaaaaa")
    monkeypatch.setattr("analysis.report.save.save", lambda *_: [])  # figures take their time
    result = report(tmp_path / "runs", "digits-aaaaaa", "-o", str(tmp_path / "one.md"))
    assert result.exit_code == 0, result.output
    text = (tmp_path / "one.md").read_text(encoding="utf-8")
    assert "## The generator" in text
    store = f"--store {tmp_path / 'runs'}"
    assert f"dcgan export digits-aaaaaa -o digits-aaaaaa-export/generator.onnx {store}" in text
    assert (tmp_path / "one_files" / "walk.webp").exists()

    (checkpoint,) = (folder / "checkpoints").iterdir()
    checkpoint.write_bytes(b"damaged")
    with pytest.warns(StoreWarning, match="Images of digits-aaaaaa are left out"):
        assert generator_images(folder) is None
    checkpoint.unlink()
    assert generator_images(folder) is None
