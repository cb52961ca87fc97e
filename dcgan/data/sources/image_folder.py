"""Any folder of images, nested or flat."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np

from dcgan.data.cache import cached_content
from dcgan.data.decoding import file_digests
from dcgan.data.image_set import Collection, DataError
from dcgan.data.parallel import CHUNK, map_chunks
from dcgan.data.progress import Progress, silent
from dcgan.data.sources.file_extensions import (
    extensions_in_words,
    idx_advice,
    images_among,
    unreadable_extension_warnings,
)
from dcgan.data.sources.splits import paths_of_split


def collect_folder(folder: Path, split: str = "all", hashed: Progress = silent) -> Collection:
    """All images in a folder and its subfolders, in the order of their paths.

    If every image lies in one of at least two subfolders, the subfolders are the classes.
    Hidden files and folders are left out.

    Args:
        folder: The folder.
        split: If its folders are named after splits, the one to train on; or `all`.
        hashed: Called while files are read to find out whether they are known.

    Raises:
        DataError: There is no image, or no such split.
    """
    if not folder.is_dir():
        reason = "there is no such folder or file"
        if folder.exists():
            reason = (
                "it is a file, not a folder, and none of .zip, .tar, .tar.gz, .tar.bz2, .tar.xz, "
                ".tar.zst, .npy, .npz and .parquet"
            )
        raise DataError(f"No images can be read from {folder}: {reason}.")
    files = list(_files(folder))
    names, left_out = images_among(files)
    if not names:
        content = f", but {extensions_in_words(left_out)}" if left_out else ""
        raise DataError(
            f"The folder {folder} holds no images{content}.\n"
            "It or its subfolders should hold image files such as .jpg, .png or .webp."
            + "".join(f"\n{warning}." for warning in unreadable_extension_warnings(left_out))
            + idx_advice(files, folder)
        )
    of_split = paths_of_split(folder, sorted(names), split)
    classes = classes_of(list(of_split.values()))
    collection = collect_files(folder, list(of_split), *classes, hashed=hashed)
    return replace(collection, left_out=left_out)


def classes_of(names: Sequence[str]) -> tuple[tuple[str, ...], list[int] | None]:
    """The first folders of paths, and the index of each path's folder among them.

    Nothing and None unless every path has one and there are at least two.
    """
    folders = [name.partition("/")[0] if "/" in name else "" for name in names]
    classes = tuple(sorted(set(folders)))
    if "" in classes or len(classes) < 2:
        return (), None
    index_of = {name: index for index, name in enumerate(classes)}
    return classes, [index_of[folder] for folder in folders]


def collect_files(
    folder: Path,
    names: Sequence[str],
    classes: tuple[str, ...],
    labels: Sequence[int] | None,
    *,
    hashed: Progress = silent,
) -> Collection:
    """Files as a collection whose content is the names and the bytes of all files.

    The bytes are read only if the size, a time stamp or the inode of a file has changed.

    Args:
        folder: Where the files are.
        names: Their paths within `folder`.
        classes: Names of the classes; empty without labels.
        labels: One index into `classes` per file; None without labels.
        hashed: Called while files are read.
    """
    files = FolderFiles(folder, names)
    return Collection(
        path=str(folder.resolve()),
        images=files,
        names=names,
        classes=classes,
        labels=None if labels is None else np.asarray(labels, np.int64),
        content=lambda: content_of_files(files, names, hashed),
    )


class FolderFiles(Sequence[Path]):
    """Files of a folder, whose paths are made on demand, because making them takes time."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.texts = [f"{folder}/{name}" for name in names]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, key: int) -> Path: ...
    @overload
    def __getitem__(self, key: slice) -> list[Path]: ...
    def __getitem__(self, key: int | slice) -> Path | list[Path]:
        if isinstance(key, slice):
            return [Path(text) for text in self.texts[key]]
        return Path(self.texts[key])


def content_of_files(files: Sequence[Path], names: Sequence[str], hashed: Progress = silent) -> str:
    """A digest of the names and the bytes of files, which are read only if they have changed.

    Args:
        files: The files.
        names: Their names in the digest.
        hashed: Called while they are read.
    """
    return cached_content(_signature(files, names), lambda: _digest(files, names, hashed))


def _files(folder: Path) -> Iterator[str]:
    """Paths within `folder`; `os.walk` is several times as fast as `Path.rglob`.

    A link to a folder is followed, unless it leads back to one that it lies in.
    """
    above = {str(folder): {_identity(folder)}}
    for parent, folders, files in os.walk(folder, followlinks=True):
        on_the_way = above.pop(parent)
        visible = [name for name in folders if not name.startswith(".")]
        identities = {name: _identity(Path(parent, name)) for name in visible}
        folders[:] = [name for name in visible if identities[name] not in on_the_way]
        above |= {os.path.join(parent, name): on_the_way | {identities[name]} for name in folders}  # noqa: PTH118
        relative = Path(parent).relative_to(folder).as_posix()
        for name in files:
            if not name.startswith("."):
                yield name if relative == "." else f"{relative}/{name}"


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _signature(files: Sequence[Path], names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    paths = files.texts if isinstance(files, FolderFiles) else map(str, files)
    for file, name in zip(paths, names, strict=True):
        try:
            status = os.stat(file)  # noqa: PTH116, a third faster than a Path's
            # Programs can set the modification time, but not the change time of the inode.
            changed = f"{status.st_mtime_ns}\0{status.st_ctime_ns}"
            state = f"{status.st_size}\0{changed}\0{status.st_dev}\0{status.st_ino}"
        except (
            OSError
        ) as error:  # a dangling link, for example, which decoding counts as unreadable
            state = str(error.strerror)
        digest.update(_to_bytes(f"{name}\0{state}\0"))
    return digest.hexdigest()


def _to_bytes(name: str) -> bytes:
    """UTF-8, and the bytes of names in another encoding, as archives of Windows have them."""
    return name.encode(errors="surrogateescape")


def _digest(files: Sequence[Path], names: Sequence[str], hashed: Progress) -> str:
    total = hashlib.sha256()
    chunks = ((files[first : first + CHUNK],) for first in range(0, len(files), CHUNK))
    digests = itertools.chain.from_iterable(map_chunks(file_digests, chunks, len(files)))
    for number, (name, digest) in enumerate(zip(names, digests, strict=True), start=1):
        total.update(_to_bytes(name) + b"\0" + digest)
        if number % CHUNK == 0 or number == len(names):
            hashed(number, len(names))
    return total.hexdigest()
