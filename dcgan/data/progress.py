"""Reports the progress of reading and decoding images to a listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of images that are done and their total."""


def silent(done: int, total: int) -> None:
    """A Progress that reports nothing."""


class LoadingProgress(Protocol):
    """Receives the progress of loading a data set."""

    def hashed(self, done: int, total: int, /) -> None:
        """Report that `done` of `total` files are read to find out whether they are cached."""

    def decoded(self, done: int, total: int, /) -> None:
        """Report that `done` of `total` images are decoded."""


class NamedProgress:
    """A `LoadingProgress` that names each kind of work; a subclass shows it."""

    def show(self, what: str, done: int, total: int) -> None:
        """Show how much of a kind of work is done.

        Args:
            what: The work, or the images, in a word or two.
            done: Images that are done.
            total: All images.
        """
        raise NotImplementedError

    def hashed(self, done: int, total: int) -> None:
        """Show how many of `total` files are read to find out whether they are cached."""
        self.show("reading", done, total)

    def decoded(self, done: int, total: int) -> None:
        """Show how many of `total` images are decoded."""
        self.show("decoding", done, total)


@dataclass(frozen=True)
class LoadingCallbacks:
    """A `LoadingProgress` of two functions, which may be omitted."""

    hashed: Progress = silent
    decoded: Progress = silent


Begin: TypeAlias = Callable[[], AbstractContextManager[LoadingProgress]]
"""Called when loading a data set begins; the context that it returns is exited at the end."""

# A context variable, because images are loaded deep below the code that shows progress, by a dozen
# functions that would only pass a callback on, and in processes that show nothing.
_BEGIN: ContextVar[Begin] = ContextVar("_BEGIN", default=lambda: nullcontext(LoadingCallbacks()))


@contextmanager
def showing_images(begin: Begin) -> Iterator[None]:
    """Report the loading of every data set within this context to a progress from `begin`."""
    token = _BEGIN.set(begin)
    try:
        yield
    finally:
        _BEGIN.reset(token)


def loading_progress() -> AbstractContextManager[LoadingProgress]:
    """A context for loading a data set; reports nothing outside `showing_images`."""
    return _BEGIN.get()()
