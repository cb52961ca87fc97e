"""What a run says of its command line, its code, its packages and its machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import tracking
from tracking.backends.local import Journal
from tracking.events import GIT_DIFF, Fields, Text
from tracking.provenance import MAX_DIFF_BYTES, describe
from tracking.tracker import Run

NEPTUNE_TOKEN = "eyJhcGlfYWRkcmVzcyI6Imh0dHBzOi8vYXBwLm5lcHR1bmUuYWkifQ=="


@pytest.fixture(autouse=True)
def only_our_git_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)


def git(folder: Path, *arguments: str) -> str:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path) -> Path:
    """A repository with the file `code.py` in its only commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--initial-branch", "trunk")
    (folder / "code.py").write_text("lr = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "first")
    return folder


def copy_package(folder: Path) -> Path:
    source = Path(tracking.__file__).parent
    shutil.copytree(source, folder / "tracking", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def describe_from(
    package: Path, working_directory: Path, **environment: str
) -> tuple[dict[str, Any], str | None]:
    """What a process reports whose `tracking` lies in the folder `package`."""
    code = (
        "import json; from tracking import provenance; print(json.dumps(provenance.describe([])))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        cwd=working_directory,
        env={**os.environ, "PYTHONPATH": str(package), **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    fields, difference = json.loads(output)
    return fields, difference


def code_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in fields.items() if path.startswith("sys/git/")}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that holds the package, in no repository."""
    return copy_package(tmp_path / "site-packages")


def test_packages_python_and_hardware_are_named() -> None:
    fields, _ = describe(["dcgan"])

    assert fields["sys/packages/numpy"] == np.__version__
    assert fields["sys/packages/torch"]
    assert fields["sys/python"] == platform.python_version()
    assert fields["sys/hostname"] == platform.node()
    assert fields["sys/hardware/cpu"]
    assert fields["sys/hardware/cores"] == len(psutil.Process().cpu_affinity() or [])
    assert fields["sys/hardware/memory_gib"] == pytest.approx(
        psutil.virtual_memory().total / 2**30, abs=0.1
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], ""),
        (["/opt/bin/dcgan", "train", "--lr", "1e-3"], "dcgan train --lr 1e-3"),
        (["/src/dcgan/__main__.py", "train"], "python -m dcgan train"),
        (["dcgan", "--data", "/home/ada/my faces"], "dcgan --data '~/my faces'"),
        (["dcgan", "--data=/home/ada"], "dcgan --data=~"),
        (["dcgan", "--data", "/home/adam/faces"], "dcgan --data /home/adam/faces"),
        (["dcgan", "--api-token", "abc", "train"], "dcgan --api-token REDACTED train"),
        (["dcgan", "--use-token", "--lr", "1"], "dcgan --use-token --lr 1"),
        (["dcgan", "--set", "db.password=a=b"], "dcgan --set db.password=REDACTED"),
        (["dcgan", "--to=https://ada:p@ss@host/x"], "dcgan --to=https://host/x"),
        (["dcgan", "--set", f"x={NEPTUNE_TOKEN}"], "dcgan --set x=REDACTED"),
        (["dcgan", "--x", "0123456789abcdef0123456789abcdef01234567"], "dcgan --x REDACTED"),
        (["dcgan", "--tag", "no-weight-init-with-a-very-long-description"], None),
        (["dcgan", "--data", "/data/CelebA64/img_align_celeba_png_aligned_2024"], None),
        (["dcgan", "--name", "\udce9t\udce9"], "dcgan --name '?t?'"),
    ],
)
def test_the_command_keeps_everything_but_home_and_secrets(
    arguments: list[str], command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    fields, _ = describe(arguments)

    assert fields["sys/command"] == (" ".join(arguments) if command is None else command)


def test_no_environment_variable_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPTUNE_API_TOKEN", "do-not-tell")

    fields, _ = describe(["dcgan"])

    assert "do-not-tell" not in json.dumps(fields)


def test_a_clean_repository_is_its_commit(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    git(code, "remote", "add", "mirror", "https://mirror/x.git")
    git(code, "remote", "add", "origin", "https://ada:secret@host/lab.git")

    fields, difference = describe_from(installed, code)

    assert code_fields(fields) == {
        "sys/git/commit": git(code, "rev-parse", "HEAD"),
        "sys/git/branch": "trunk",
        "sys/git/dirty": False,
        "sys/git/remote": "https://host/lab.git",
    }
    assert difference is None


@pytest.mark.parametrize(
    ("address", "recorded"),
    [
        ("git@github.com:lab/dcgan.git", "git@github.com:lab/dcgan.git"),
        ("ada@host:dcgan.git", "host:dcgan.git"),
        ("ssh://ada@host/dcgan.git", "ssh://host/dcgan.git"),
        ("/home/ada/dcgan.git", "~/dcgan.git"),
    ],
)
def test_the_remote_names_no_user(
    address: str, recorded: str, tmp_path: Path, installed: Path
) -> None:
    code = repository(tmp_path / "code")
    git(code, "remote", "add", "upstream", address)

    fields, _ = describe_from(installed, code, HOME="/home/ada")

    assert fields["sys/git/remote"] == recorded


def test_the_difference_is_a_patch_that_applies(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    (code / "folder").mkdir()
    (code / "folder/staged.py").write_text("staged = True\n")
    git(code, "add", ".")
    (code / "code.py").write_text("lr = 2\n")
    (code / "notes.txt").write_text("untracked")
    (code / ".git/info/exclude").write_text("ignored.log\n")
    (code / "ignored.log").write_text("")
    # Settings of a user that would make the patch useless.
    git(code, "config", "diff.noprefix", "true")
    git(code, "config", "color.ui", "always")

    fields, difference = describe_from(installed, code / "folder")

    assert fields["sys/git/dirty"] is True
    assert difference is not None
    assert "#   notes.txt\n" in difference
    assert "ignored.log" not in difference
    clone = tmp_path / "clone"
    git(tmp_path, "clone", str(code), str(clone))
    (tmp_path / "run.patch").write_text(difference)
    git(clone, "apply", str(tmp_path / "run.patch"))
    assert (clone / "code.py").read_text() == "lr = 2\n"
    assert (clone / "folder/staged.py").read_text() == "staged = True\n"


def test_untracked_files_alone_make_the_code_dirty(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    (code / "new.py").write_text("")
    (code / "data").mkdir()
    for index in range(20):
        (code / f"data/{index}.png").write_bytes(b"")

    fields, difference = describe_from(installed, code)

    assert fields["sys/git/dirty"] is True
    assert difference == "\n# Untracked, and not kept here:\n#   data/\n#   new.py\n"


def test_a_huge_difference_is_cut_and_says_so(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    (code / "code.py").write_text("x = 123456789\n" * 400_000)

    _, difference = describe_from(installed, code)

    assert difference is not None
    assert MAX_DIFF_BYTES * 0.99 < len(difference) < MAX_DIFF_BYTES + 200
    assert difference.splitlines()[-1].startswith("# The patch has 6,000,")


def test_a_difference_in_another_encoding_can_be_written_down(
    tmp_path: Path, installed: Path
) -> None:
    code = repository(tmp_path / "code")
    (code / "code.py").write_bytes("# Grüße\n".encode("latin-1"))
    Path(os.fsdecode(os.fsencode(code) + b"/\xe9t\xe9.txt")).write_text("")

    _, difference = describe_from(installed, code)

    assert difference is not None
    Journal(tmp_path / "run", Run("run", "run", 0)).write(Text(GIT_DIFF, difference))
    written = (tmp_path / "run/artifacts/git_diff.txt").read_text(encoding="utf-8")
    assert "# Gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e" in written
    assert "#   ?t?.txt" in written


def test_a_token_in_a_changed_file_stays_at_home(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    (code / "code.py").write_text(f"token = '{NEPTUNE_TOKEN}'\n")

    _, difference = describe_from(installed, code)

    assert difference is not None
    assert "+token = 'REDACTED'" in difference


def test_the_packages_own_repository_goes_first(tmp_path: Path) -> None:
    own, other = repository(tmp_path / "own"), repository(tmp_path / "other")
    copy_package(own)
    git(own, "add", ".")
    git(own, "commit", "--message", "package")

    fields, _ = describe_from(own, other)

    assert fields["sys/git/commit"] == git(own, "rev-parse", "HEAD")


def test_a_repository_around_a_virtual_environment_is_not_the_code(tmp_path: Path) -> None:
    around = repository(tmp_path / "around")
    (around / ".gitignore").write_text(".venv\n")
    package = copy_package(around / ".venv/lib")

    fields, difference = describe_from(package, tmp_path)

    assert code_fields(fields) == {}
    assert difference is None


def test_a_detached_head_has_no_branch(tmp_path: Path, installed: Path) -> None:
    code = repository(tmp_path / "code")
    git(code, "checkout", "--detach")

    fields, _ = describe_from(installed, code)

    assert "sys/git/branch" not in fields
    assert fields["sys/git/commit"]


@pytest.mark.parametrize("place", ["no repository", "no commit", "no git"])
def test_without_a_commit_the_rest_is_still_told(
    place: str, tmp_path: Path, installed: Path
) -> None:
    code = tmp_path / "code"
    environment = {}
    if place == "no git":
        repository(code)
        environment["PATH"] = str(tmp_path)
    else:
        code.mkdir()
        (code / "code.py").write_text("")
    if place == "no commit":
        git(code, "init")
        git(code, "add", ".")

    fields, difference = describe_from(installed, code, **environment)

    assert code_fields(fields) == {}
    assert difference is None
    assert fields["sys/packages/numpy"]


def test_a_run_keeps_it_all(tmp_path: Path) -> None:
    fields, difference = describe(["dcgan", "train"])
    journal = Journal(tmp_path / "run", Run("run", "run", 0))

    journal.write(Fields(fields))
    journal.write(Text(GIT_DIFF, difference or ""))

    kept = json.loads((tmp_path / "run/run.json").read_text())["sys"]
    assert kept["command"] == "dcgan train"
    assert kept["packages"]["numpy"] == fields["sys/packages/numpy"]


def test_it_is_fast_and_imports_nothing_heavy(tmp_path: Path, installed: Path) -> None:
    code = (
        "import os, sys\n"
        "from tracking import provenance; provenance.describe(['dcgan'])\n"
        "print(sum(os.times()[:4]))\n"  # its own processor time, and that of the gits it asked
        "print(*{'torch', 'mlflow', 'neptune', 'pandas', 'numpy'} & set(sys.modules))"
    )
    durations = []
    for number in range(3):
        output = subprocess.run(
            [sys.executable, "-c", code],
            cwd=repository(tmp_path / f"code{number}"),
            env={**os.environ, "PYTHONPATH": str(installed)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        seconds, heavy = output.split("\n")[:2]
        durations.append(float(seconds))
        assert heavy == ""
    assert min(durations) < 0.5  # 0.1 s, of which most is Python's own start
