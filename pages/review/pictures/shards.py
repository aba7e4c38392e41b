"""Thumbnails on the disk: data/DATASET/thumbnails/NUMBER.zip, up to 4,096 of them stored in each.

A member is called by the digest of its image, so that new pictures only add to what there is. A
shard is written to .part and put in place whole; the last one is written anew as it grows, its
former members first and in their order, so that a reader of the old file reads the new one too.
"""

import os
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.io.whole import whole_bytes

SHARD = 4096  # thumbnails
_LONGEST = 1 << 20  # bytes of one
_HEADER, _NAME = 30, 37  # bytes of a zip before the name of a member, and of that
_BEFORE = _HEADER + _NAME
_MOMENT = (1980, 1, 1, 0, 0, 0)  # equal thumbnails, equal files


class Shards:
    """The thumbnails of images with these digests (uint8 [image, 16]), by row. One thread writes,
    any reads."""

    def __init__(self, folder: Path, id: np.ndarray) -> None:
        """Reads the lists of what there is; a damaged shard is left out, and made again."""
        self.folder, self._id, self._lock = folder, id, threading.Lock()
        self._shard = np.full(len(id), -1, np.int32)
        self._start = np.zeros(len(id), np.int64)
        self._bytes = np.zeros(len(id), np.int32)
        digest = np.ascontiguousarray(id).view("S16").ravel()
        self._order = np.argsort(digest, kind="stable")
        self._sorted = digest[self._order]
        self._last: tuple[int, list[tuple[str, bytes]]] = (0, [])
        for path in sorted(folder.glob("*.zip")):
            if path.stem.isdecimal():
                self._list(int(path.stem), path)

    def missing(self) -> np.ndarray:
        """int64 [image]: the rows without a thumbnail here; of equal images one."""
        away = np.flatnonzero(self._shard < 0)
        _, first = np.unique(self._id[away], axis=0, return_index=True)
        return away[np.sort(first)]

    def read(self, row: int) -> bytes | None:
        """The WebP of an image, None where there is none."""
        with self._lock:
            number, start, size = self._shard[row], int(self._start[row]), int(self._bytes[row])
        if number < 0:
            return None
        try:
            with open(self._path(int(number)), "rb") as file:
                found = os.pread(file.fileno(), _BEFORE + size, start)
        except OSError:
            return None
        # Another process may have written the file since
        own = found[_HEADER:_BEFORE] == _name(self._id[row]).encode()
        return found[_BEFORE:] if own and len(found) == _BEFORE + size else None

    def add(self, made: Mapping[int, bytes]) -> None:
        """Keep thumbnails by row, at most SHARD at once. StoreError or OSError: the disk."""
        number, members = self._last
        if len(members) + len(made) > SHARD:
            number, members = number + 1, []
        members = [*members, *((_name(self._id[row]), of) for row, of in made.items())]
        path = self._path(number)
        with whole_bytes(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, of in members:
                archive.writestr(zipfile.ZipInfo(name, _MOMENT), of)
        self._last = (number, members) if len(members) < SHARD else (number + 1, [])
        self._list(number, path, keep=False)

    def _list(self, number: int, path: Path, keep: bool = True) -> None:
        """Take the members of a shard for what the images with their digests look like."""
        try:
            with zipfile.ZipFile(path) as archive:
                found = [m for m in archive.infolist() if m.compress_type == zipfile.ZIP_STORED]
                found = [m for m in found if m.file_size <= _LONGEST and len(m.filename) == _NAME]
                names = b"".join(bytes.fromhex(m.filename[:32]) for m in found)
                if keep:
                    self._keep(number, archive, found)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            print(f"review: {path} is damaged ({error}): its thumbnails are made again")
            self._last = (max(self._last[0], number + 1), [])
            return
        start = np.array([m.header_offset for m in found], np.int64)
        self._place(names, number, start, [m.file_size for m in found])

    def _keep(
        self, number: int, archive: zipfile.ZipFile, found: Sequence[zipfile.ZipInfo]
    ) -> None:
        if len(found) < SHARD:
            self._last = (number, [(m.filename, archive.read(m)) for m in found])
        else:
            self._last = (number + 1, [])

    def _place(self, names: bytes, number: int, start: np.ndarray, size: Sequence[int]) -> None:
        digest = np.frombuffer(names, "S16")
        low = np.searchsorted(self._sorted, digest, "left")
        high = np.searchsorted(self._sorted, digest, "right")
        each = high - low  # images of these bytes
        member = np.repeat(np.arange(len(digest)), each)
        place = np.arange(len(member)) - np.repeat(np.cumsum(each) - each, each) + low[member]
        rows = self._order[place]
        with self._lock:
            self._shard[rows], self._start[rows] = number, start[member]
            self._bytes[rows] = np.array(size, np.int32)[member]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.zip"


def _name(id: np.ndarray) -> str:
    return f"{id.tobytes().hex()}.webp"
