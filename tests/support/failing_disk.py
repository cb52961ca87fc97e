"""A disk that refuses every write from some moment on, as if the kernel made it read-only."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class FailingDisk:
    """Everything below a folder; also files that are open already can no longer be written.

    Root may write to files whose mode forbids it, and a file system with open files cannot be
    made read-only by `mount`, so the calls themselves are refused.
    """

    def __init__(self, folder: Path, number: int, patch: pytest.MonkeyPatch) -> None:
        """Watch a folder.

        Args:
            folder: The folder.
            number: Of the error, such as `errno.EROFS`.
            patch: What the calls are replaced with.
        """
        self.is_failing = False
        self._last_file: str | None = None
        self._folder = folder.resolve()
        self._number = number
        for name in ("replace", "rename", "unlink", "mkdir", "rmdir", "utime", "truncate"):
            patch.setattr(os, name, self._refusing(getattr(os, name)))
        opened, written = os.open, os.write
        patch.setattr(
            os,
            "open",
            self._refusing(opened, _writes),
        )
        patch.setattr(os, "write", lambda file, data: written(self._checked(file), data))
        for module in (io, builtins):
            patch.setattr(
                module,
                "open",
                self._refusing(
                    module.open,  # type: ignore[attr-defined]
                    lambda _, mode="r", *more, **__: set(mode) & set("wax+"),
                ),
            )

    def fail_after(self, name: str) -> None:
        """Refuse everything once a file of this name was moved into place."""
        self._last_file = name

    def _checked(self, file: int) -> int:
        self._refuse(Path(f"/proc/self/fd/{file}").readlink())
        return file

    def _refusing(
        self, call: Callable[..., Any], writes: Callable[..., object] = lambda *_, **__: True
    ) -> Callable[..., Any]:
        def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
            if writes(path, *arguments, **options):
                self._refuse(path)
            result = call(path, *arguments, **options)
            if call.__name__ == "replace" and Path(arguments[0]).name == self._last_file:
                self.is_failing = True
            return result

        return refuse

    def _refuse(self, path: Any) -> None:
        if not self.is_failing or not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.fsdecode(path)
        if Path(text).absolute().is_relative_to(self._folder):
            raise OSError(self._number, os.strerror(self._number), text)


def _writes(_path: object, flags: int, *_more: object, **_options: object) -> bool:
    """Whether os.open opens a file for writing."""
    return bool(flags & _WRITING)
