"""A shard being filled: vectors go to the disk first, then the flags that say so."""

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from store.shard import Plan, Shard, create_shard, digest, open_shard, shard_path, try_shard

SECONDS_BETWEEN_SYNCS = 2.0


class Part:
    """One shard on its way to a plan; a finished shard that is what the plan wants stays as it is.

    `todo` (int64) are the rows that are not stored yet.
    """

    def __init__(self, folder: Path, plan: Plan, number: int, block: int) -> None:
        """Go on with what a killed run left, or lay out anew. OSError when the disk is full."""
        self.plan, self.final = plan, shard_path(folder, number)
        name = digest(plan.id, plan.row, plan.split, np.array([block]))
        partial = folder / f"{self.final.name}.{plan.encoder[:8]}{name:08x}.part"
        shard = try_shard(self.final)
        self.finished = shard is not None and shard.holds(plan, block) and _whole(shard)
        if not self.finished:
            shard = try_shard(partial)
            if shard is None or not shard.holds(plan, block):
                partial.unlink(missing_ok=True)
                create_shard(partial, plan, number, block)
                shard = open_shard(partial)
        assert shard is not None
        self.shard, self.readable = shard, shard.readable
        self._fd = os.open(shard.path, os.O_RDONLY if self.finished else os.O_RDWR)
        self._pending: list[int] = []
        self._synced = time.monotonic()
        if not self.finished:
            self._distrust()
        self._stored = np.repeat(shard.done, block)[: len(plan.id)]

    @property
    def todo(self) -> np.ndarray:
        return np.flatnonzero(~self._stored)

    def put(self, rows: np.ndarray, half: np.ndarray, readable: np.ndarray) -> None:
        """Write float16 vectors [image, dim] at `rows`; whole blocks are committed now and then."""
        width, block = self.plan.dim * 2, self.shard.block
        for low, high in _runs(rows):
            data = np.ascontiguousarray(half[low:high])
            _write(self._fd, data, self.shard.at["features"] + int(rows[low]) * width)
        self.readable[rows] = readable
        self._stored[rows] = True
        for b in np.unique(rows // block).tolist():
            if self._stored[b * block : (b + 1) * block].all():
                self._pending.append(b)
        if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
            self.sync()

    def sync(self) -> None:
        """Commit every whole block: its bytes, then its checksum and flag."""
        self._synced = time.monotonic()
        if not self._pending:
            return
        shard = self.shard
        for (
            b
        ) in self._pending:  # the map and the file are one page cache: this reads what was written
            shard.crc[b] = zlib.crc32(shard.features[b * shard.block : (b + 1) * shard.block].data)
            shard.done[b] = True
        os.fsync(self._fd)
        _write(self._fd, self.readable, shard.at["readable"])
        _write(self._fd, shard.crc, shard.at["crc32"])
        _write(self._fd, shard.done.astype(np.uint8), shard.at["done"])
        os.fsync(self._fd)
        self._pending = []

    def close(self) -> None:
        """Commit and let go; twice does no harm."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1

    def _distrust(self) -> None:
        """What a killed run left counts if its checksum agrees; unread images are tried again."""
        shard = self.shard
        for b in np.flatnonzero(shard.done).tolist():
            readable = self.readable[b * shard.block : (b + 1) * shard.block]
            shard.done[b] = shard.sound(b) and bool(readable.all())


def _whole(shard: Shard) -> bool:
    return all(shard.sound(b) for b in range(len(shard.done)))


def _runs(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Slices of `rows` in which each row follows the one before: one write each."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    return zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True)


def _write(descriptor: int, array: np.ndarray, at: int) -> None:
    data = memoryview(np.ascontiguousarray(array).data).cast("B")
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
