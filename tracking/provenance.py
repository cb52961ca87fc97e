"""The origin of a run: the command line, the code, the packages and the machine.

No environment variable and no user name is recorded. What cannot be determined is left out.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.events import SYS, Value
from tracking.redaction import REDACTED, SECRET_NAME, make_redactor, redact_fields

if TYPE_CHECKING:
    import git

PACKAGES = (
    "dcgan-lab",
    "matplotlib",
    "mlflow",
    "neptune",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "scipy",
    "seaborn",
    "torch",
    "torchvision",
)
"""The distributions whose versions can change what a run does or how it is stored."""

MAX_DIFF_BYTES = 4_000_000
MAX_UNTRACKED = 1_000
UNTRACKED_NOTE = "# Untracked, and not kept here:"
"""The line after a patch that introduces one line `#   NAME` per untracked file."""

_SECRET_NAME = re.compile(SECRET_NAME, re.IGNORECASE)
_RANDOM_LOOKING = re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}[\w.+/=-]*")
_SSH_USER = re.compile(r"^(?!git@)[^/@:]+@")  # alice@host:path; git@ is everyone's


def describe(arguments: Sequence[str]) -> tuple[dict[str, Value], str | None]:
    """The fields under `sys/`, and how the code differs from its commit. Never raises.

    Args:
        arguments: The command line, as `sys.argv`; what looks like a secret is redacted.

    Returns:
        The fields `sys/command`, `sys/python`, `sys/platform`, `sys/hostname`,
        `sys/packages/<name>`, `sys/hardware/{cpu,cores,memory_gib}` and, if the code is in a git
        repository, `sys/git/{commit,branch,dirty,remote}`; then the difference, a patch for
        `git apply` followed by the names of untracked files, or None if there is no difference
        or no repository.
    """
    code, difference = _code()
    fields: dict[str, Value] = {
        "command": command_line(arguments),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hostname": platform.node(),
        **{f"git/{name}": value for name, value in code.items()},
        **{f"packages/{name}": version for name, version in _packages().items()},
        **{f"hardware/{name}": value for name, value in _hardware().items()},
    }
    redact = make_redactor()
    sys_fields = {f"{SYS}/{name}": value for name, value in fields.items()}
    return redact_fields(sys_fields, redact), difference and redact(difference)


def command_line(arguments: Sequence[str]) -> str:
    """The command that a user would type, from `sys.argv`; apparent secrets are redacted."""
    if not arguments:
        return ""
    program = Path(arguments[0])
    as_module = ["python", "-m", program.parent.name]
    name = as_module if program.name == "__main__.py" else [program.name]
    return make_redactor()(_encodable(shlex.join([*name, *_redact(arguments[1:])])))


def _redact(arguments: Sequence[str]) -> list[str]:
    redacted: list[str] = []
    previous = ""
    for argument in arguments:
        text = _RANDOM_LOOKING.sub(REDACTED, _redact_assignment(argument))
        if _is_secret_option(previous) and not argument.startswith("-"):
            text = REDACTED
        redacted.append(text)
        previous = argument
    return redacted


def _redact_assignment(argument: str) -> str:
    """`--api-token=abc` to `--api-token=REDACTED`."""
    name = _SECRET_NAME.search(argument)
    end = argument.find("=", name.end()) + 1 if name else 0
    return argument[:end] + REDACTED if 0 < end < len(argument) else argument


def _is_secret_option(argument: str) -> bool:
    return argument.startswith("-") and "=" not in argument and bool(_SECRET_NAME.search(argument))


def _encodable(text: str) -> str:
    """Replace with `?` the bytes of file names that are not UTF-8 (Python's surrogate escapes)."""
    return text.encode(errors="replace").decode()


def _code() -> tuple[dict[str, Value], str | None]:
    """Fields of the repository that holds the code, and the difference from its commit.

    The code is the folder of this package or, if that is installed without its repository, the
    working directory. Either counts only if the repository tracks files in it: a virtual
    environment inside a repository is not part of its code.
    """
    try:
        import git
    except ImportError:  # GitPython raises it if there is no git command
        return {}, None
    for folder in (Path(__file__).parent, Path()):
        with (
            contextlib.suppress(git.GitError, OSError, ValueError),
            git.Repo(folder.resolve(), search_parent_directories=True) as repository,
        ):
            # Reading a repository must not lock its index.
            repository.git.update_environment(GIT_OPTIONAL_LOCKS="0")
            if repository.git.ls_files("--", str(folder.resolve())):
                return _describe_repository(repository)
    return {}, None


def _describe_repository(repository: git.Repo) -> tuple[dict[str, Value], str | None]:
    """Raises git.GitError, among other reasons if there is no commit yet."""
    commit = repository.git.rev_parse("HEAD", verify=True)
    difference = _difference(repository)
    fields: dict[str, Value] = {"commit": commit, "dirty": difference is not None}
    if branch := repository.git.branch(show_current=True):
        fields["branch"] = branch
    if remote := _remote(repository):
        fields["remote"] = remote
    return fields, difference


def _remote(repository: git.Repo) -> str:
    """The address of `origin`, or of the first remote, without the user's name and password."""
    names = repository.git.remote().splitlines()
    if not names:
        return ""
    name = "origin" if "origin" in names else names[0]
    address = repository.git.config(f"remote.{name}.url", with_exceptions=False)
    return _SSH_USER.sub("", address)


def _difference(repository: git.Repo) -> str | None:
    # As bytes, since files in other encodings cannot be decoded.
    patch: bytes = repository.git.diff(
        "HEAD",
        "--no-color",
        "--no-ext-diff",
        "--no-relative",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        stdout_as_string=False,
        strip_newline_in_stdout=False,
    )
    listing = repository.git.ls_files(
        "--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z"
    )
    names = [name for name in listing.split("\0") if name]
    text = _first_bytes(patch).decode("utf-8", errors="replace")
    return text + _untracked_note(names) or None


def _first_bytes(patch: bytes) -> bytes:
    if len(patch) <= MAX_DIFF_BYTES:
        return patch
    kept = patch[: patch.rfind(b"\n", 0, MAX_DIFF_BYTES) + 1]
    note = f"\n# The patch has {len(patch):,} bytes; the first {len(kept):,} are kept.\n"
    return kept + note.encode()


def _untracked_note(names: Sequence[str]) -> str:
    if not names:
        return ""
    lines = [f"#   {_encodable(name)}" for name in names[:MAX_UNTRACKED]]
    if len(names) > MAX_UNTRACKED:
        lines.append(f"#   and {len(names) - MAX_UNTRACKED:,} more")
    return "\n".join(["", UNTRACKED_NOTE, *lines, ""])


def _packages() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _hardware() -> dict[str, Value]:
    """The processor's model, the cores that this process may use, and the machine's memory."""
    import psutil

    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return {
        "cpu": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    """The model's name if the system reports it, else the architecture."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if platform.system() == "Darwin":
            question = ["sysctl", "-n", "machdep.cpu.brand_string"]
            answer = subprocess.run(question, capture_output=True, text=True, check=True)
            return answer.stdout.strip()
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if model := re.search(r"^model name\s*:\s*(.+)$", description, re.MULTILINE):
            return model[1]
    return platform.machine()
