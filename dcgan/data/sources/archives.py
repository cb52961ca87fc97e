"""Images in one file: zip, tar, npy or npz. Nothing is unpacked; members are read in place."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcgan.data.encoded_images import EncodedImages
from dcgan.data.image_set import Collection, DataError
from dcgan.data.progress import Progress, silent
from dcgan.data.sources.file_extensions import (
    extensions_in_words,
    images_among,
    unreadable_extension_warnings,
)
from dcgan.data.sources.image_folder import classes_of, content_of_files
from dcgan.data.sources.splits import paths_of_split
from dcgan.data.sources.zstd_stream import ZstdStream

LARGEST_MEMBER = 1 << 30
"""The most bytes that a member may declare; more is taken for a decompression bomb."""

_TAR_EXTENSIONS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst")
_ZSTD_BUFFER = 2**20
_HIDDEN = (".", "__MACOSX")
_MAX_CLASSES = 1_000
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    KeyError,  # a link in a tar file to a missing member
    NotImplementedError,  # a feature of zip files that Python lacks
)
_ZIP_METHODS = (
    *(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA),
    getattr(zipfile, "ZIP_ZSTANDARD", zipfile.ZIP_STORED),  # from Python 3.14 on
)


def is_archive(path: Path) -> bool:
    """Whether a file has an extension that `collect_archive` reads."""
    return path.name.lower().endswith((".zip", ".npy", ".npz", *_TAR_EXTENSIONS))


def collect_archive(path: Path, split: str = "all", hashed: Progress = silent) -> Collection:
    """All images of a zip or tar file at any depth, or an array of them in an npy or npz file.

    If every image lies in one of at least two folders, the folders are the classes; an npz file
    may hold labels beside its images. Hidden members are left out.

    Args:
        path: The file.
        split: If its folders are named after splits, the one to train on; or `all`.
        hashed: Called once the file has been read to find out whether it is known.

    Raises:
        DataError: The file is damaged or encrypted, or holds no images, or no such split.
    """
    try:
        if path.name.lower().endswith((".npy", ".npz")):
            return _collect_arrays(path, hashed)
        archive = _Zip(path) if path.name.lower().endswith(".zip") else _Tar(path)
        return _collect_members(path, archive, split, hashed)
    except _DAMAGED as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


class _Zip:
    """A zip file that stays open."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name -> declared bytes, of members that are files."""
        encrypted = [each.filename for each in self._file.infolist() if each.flag_bits & 1]
        if encrypted:
            raise ValueError(f"it is encrypted ({encrypted[0]})")
        for each in self._file.infolist():
            if each.compress_type not in _ZIP_METHODS:
                raise ValueError(
                    f"{each.filename} is compressed by method {each.compress_type}, which Python "
                    "cannot undo (9 is Deflate64, of Windows for large files); unpack it and give "
                    "the folder"
                )
        files = (each for each in self._file.infolist() if not each.is_dir())
        return {each.filename: each.file_size for each in files}

    is_sequential = False

    def read(self, name: str) -> bytes:
        return self._file.read(name)


class _Tar:
    """A tar file that stays open."""

    def __init__(self, path: Path) -> None:
        name = path.name.lower()
        if name.endswith(".zst"):
            content = io.BufferedReader(ZstdStream(path), _ZSTD_BUFFER)
            self._file = tarfile.open(fileobj=content, mode="r:")  # noqa: SIM115
        else:
            self._file = tarfile.open(path)  # noqa: SIM115
        self.is_sequential = not name.endswith(".tar")

    @cached_property
    def _members(self) -> dict[str, tarfile.TarInfo]:
        members = self._file.getmembers()
        self._check_end()
        return {
            each.name: each for each in members if each.isfile() or each.islnk() or each.issym()
        }

    def _check_end(self) -> None:
        """Raise ReadError at a damaged header, which `getmembers` takes for the end."""
        if self._file.fileobj is not None:
            self._file.fileobj.seek(self._file.offset)
            if self._file.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"it is damaged at byte {self._file.offset:,}")

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name -> declared bytes, of members that are files."""
        return {name: member.size for name, member in self._members.items()}

    def read(self, name: str) -> bytes:
        member = self._members[name]
        if member.isreg() and not member.issparse() and self._file.fileobj is not None:
            self._file.fileobj.seek(member.offset_data)  # a third of the time of extractfile
            content = self._file.fileobj.read(member.size)
            return content if len(content) == member.size else b""
        linked = self._file.extractfile(member)
        return b"" if linked is None else linked.read()


def _collect_members(path: Path, archive: _Zip | _Tar, split: str, hashed: Progress) -> Collection:
    pictures, _ = images_among(archive.sizes)
    for name in pictures:
        if name.startswith("/") or ".." in _parts(name):
            raise ValueError(f"its member {name} points outside of it")
    names, left_out = images_among(
        name for name in archive.sizes if not any(part.startswith(_HIDDEN) for part in _parts(name))
    )
    if not names:
        contents = f" It holds {extensions_in_words(left_out)}." if left_out else ""
        raise DataError(
            f"{path} holds no images, such as .jpg, .png or .webp.{contents}"
            + "".join(f"\n{warning}." for warning in unreadable_extension_warnings(left_out))
        )
    for name in names:
        if archive.sizes[name] > LARGEST_MEMBER:
            raise ValueError(f"{name} would have {archive.sizes[name]:,} bytes")
    below = dict(zip(_without_common_folder(names), names, strict=True))
    of_split = paths_of_split(path, list(below), split)
    # One file holds all splits, so its content alone does not identify the split.
    kind = "archive" if len(of_split) == len(names) else f"archive {split}"
    within = {below[each]: relative for each, relative in of_split.items()}
    names = list(within)
    # A file that is compressed as a whole can only be read in its own order without starting over.
    if not archive.is_sequential:
        names.sort()

    def content(index: int) -> bytes:
        try:
            return archive.read(names[index])
        except _DAMAGED:
            return b""

    classes, labels = classes_of([within[name] for name in names])
    return Collection(
        path=str(path.resolve()),
        images=EncodedImages(len(names), content),
        names=names,
        classes=classes,
        labels=None if labels is None else np.asarray(labels, np.int64),
        content=lambda: content_of_files([path], [kind], hashed),
        left_out=left_out,
    )


def _parts(name: str) -> list[str]:
    """The folders and the last part of a member's name; ten times as fast as pathlib."""
    return [part for part in name.split("/") if part not in ("", ".")]


def _without_common_folder(names: Sequence[str]) -> list[str]:
    """Archives often hold a single folder with everything in it, which is not a class."""
    relative = ["/".join(_parts(name)) for name in names]
    while len({each.partition("/")[0] for each in relative}) == 1 and all(
        "/" in each for each in relative
    ):
        relative = [each.partition("/")[2] for each in relative]
    return relative


def _collect_arrays(path: Path, hashed: Progress) -> Collection:
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    arrays = dict(loaded) if path.name.lower().endswith(".npz") else {"array": loaded}
    images = {name: array for name, array in arrays.items() if array.ndim in (3, 4)}
    if len(images) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(
            f"{path} should hold one array of images, (N, H, W), (N, H, W, C) or (N, C, H, W).\n"
            f"It holds: {shapes or 'nothing'}."
        )
    ((_, pixels),) = images.items()
    pixels = _channels_last(pixels)
    if pixels.dtype.kind not in "uif" or (pixels.ndim == 4 and pixels.shape[3] not in (1, 3, 4)):
        raise DataError(f"{path}: {pixels.dtype} {pixels.shape} is not an array of images.")
    labels = _labels(arrays, len(pixels))
    classes = () if labels is None else tuple(map(str, range(int(labels.max()) + 1)))
    return Collection(
        path=str(path.resolve()),
        images=pixels[..., 0] if pixels.ndim == 4 and pixels.shape[3] == 1 else pixels,
        names=[f"image {number}" for number in range(len(pixels))],
        classes=classes,
        labels=labels,
        content=lambda: content_of_files([path], ["arrays"], hashed),
    )


def _channels_last(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    is_first = pixels.ndim == 4 and pixels.shape[1] in (1, 3) and pixels.shape[3] not in (1, 3, 4)
    return pixels.transpose(0, 2, 3, 1) if is_first else pixels


def _labels(arrays: dict[str, npt.NDArray[np.generic]], count: int) -> npt.NDArray[np.int64] | None:
    """The only array with one whole number from 0 on per image; None if there is none."""
    if not count:
        return None
    flat = [array.reshape(-1) for array in arrays.values() if array.size == count]
    numbers = [array for array in flat if array.dtype.kind in "ui"]
    if len(numbers) != 1:
        return None
    labels = numbers[0].astype(np.int64)
    return labels if labels.min() >= 0 and 0 < labels.max() < _MAX_CLASSES else None
