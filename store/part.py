"""A shard being filled: vectors go to the disk first, then the flags that say so."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from store.disk import publish, write_at
from store.errors import StoreError
from store.files import checksum
from store.shard import Plan, lay_out, open_shard, shard_path, try_shard

# All its bits set: not a finite number
EXPONENT: dict[str, np.unsignedinteger] = {
    "float16": np.uint16(0x7C00),
    "float32": np.uint32(0x7F800000),
}


class Part:
    """One shard on its way to a plan. `finished`: it was there and is what the plan wants, so it
    stays as it is; `fresh`: it was laid out just now, with nothing in it."""

    def __init__(self, folder: Path, plan: Plan, number: int, block: int) -> None:
        """Go on with what a killed run left, or lay out anew. OSError when the disk is full."""
        self.plan, self.final, self.fresh = plan, shard_path(folder, number), False
        shard = try_shard(self.final)
        self.finished = bool(
            shard is not None
            and shard.holds(plan, block)
            and shard.readable.all()
            and shard.sound(np.arange(len(shard.done))).all()
        )
        if not self.finished:
            name = checksum(plan.id, plan.row, plan.split, np.array([block]))
            path = folder / f"{self.final.name}.{plan.encoder[:8]}{name:08x}.part"
            shard = try_shard(path)
            self.fresh = shard is None or not shard.holds(plan, block)
            if self.fresh:
                _lay_out(path, plan, number, block)
                shard = open_shard(path)
        assert shard is not None
        self.shard, self._pending = shard, list[int]()
        self._descriptor = os.open(shard.path, os.O_RDONLY if self.finished else os.O_RDWR)
        if not self.finished:
            self._distrust()
        self._stored = np.repeat(shard.done, block)[: len(plan.id)]

    @property
    def todo(self) -> np.ndarray:
        """Rows (int64) that are not stored yet."""
        return np.flatnonzero(~self._stored)

    @property
    def unreadable(self) -> np.ndarray:
        """Rows (int64) that are stored as not readable."""
        return np.flatnonzero(self._stored & (self.shard.readable == 0))

    @property
    def committed(self) -> int:
        """Rows in blocks whose flag is on the disk, whoever wrote them."""
        shard = self.shard
        done = np.fromfile(shard.path, np.uint8, len(shard.done), offset=shard.at["done"])
        return int(np.repeat(done, shard.block)[: len(self.plan.id)].sum())

    def reread(self) -> None:
        """Count what another process has put, which is checked when it is read."""
        self.shard = open_shard(self.shard.path)
        self._stored = np.repeat(self.shard.done, self.shard.block)[: len(self.plan.id)]

    def accept(self, rows: np.ndarray) -> None:
        """Take for put, and readable, what another process wrote at `rows` before it lent them."""
        self.shard.readable[rows] = True
        self._stored[rows] = True

    def lend(self) -> None:
        """Make what was put durable, in blocks that are not whole too, and let go."""
        self.sync()
        os.fsync(self._descriptor)
        self.close()

    def vectors(self, size: int) -> Iterator[np.ndarray]:
        """What is stored and readable, in blocks [image, dim] of up to `size` rows."""
        rows = np.flatnonzero(self._stored & (self.shard.readable == 1))
        for low in range(0, len(rows), size):
            yield self.shard.features[rows[low : low + size]]

    def put(self, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray) -> None:
        """Write vectors [image, dim], in the dtype of the plan, at `rows`, save those that are
        stored already."""
        new = ~self._stored[rows]
        if not new.all():
            rows, vectors, readable = rows[new], vectors[new], readable[new]
        for low, high in _runs(rows):
            at = self.shard.at["features"] + int(rows[low]) * self.plan.dim * vectors.itemsize
            write_at(self._descriptor, np.ascontiguousarray(vectors[low:high]).data, at)
        self.shard.readable[rows] = readable
        self._stored[rows] = True
        block = self.shard.block
        for b in np.unique(rows // block).tolist():
            if self._stored[b * block : (b + 1) * block].all():
                self._pending.append(b)

    def sync(self) -> None:
        """Commit every block that became whole: its bytes, then its checksum and flag."""
        if not self._pending:
            return
        shard = self.shard
        pending = np.array(self._pending)
        # The map shows what was written: both are the same page cache.
        shard.crc[pending] = shard.checksums(pending)
        shard.done[pending] = True
        os.fsync(self._descriptor)
        for name, array in (
            ("readable", shard.readable),
            ("crc32", shard.crc),
            ("done", shard.done.astype(np.uint8)),
        ):
            write_at(self._descriptor, array.data, shard.at[name])
        os.fsync(self._descriptor)
        self._pending = []

    def publish(self) -> None:
        """Give a filled shard its final name."""
        if not self.finished:
            publish(self.shard.path, self.final)

    def close(self) -> None:
        """Commit and let go; twice does no harm."""
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def _distrust(self) -> None:
        """What a killed run left counts if its checksum agrees; unread images are tried again."""
        shard = self.shard
        blocks = np.arange(len(shard.done))
        unread = np.unique(np.flatnonzero(shard.readable == 0) // shard.block)
        shard.done[:] = shard.sound(blocks) & ~np.isin(blocks, unread)


def as_stored(
    folder: Path, plan: Plan, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray
) -> np.ndarray:
    """The vectors [image, dim] in the dtype of the plan, zeros where not `readable` (bool [image]).
    Raises StoreError when they are not `dim` wide, not of the plan, or not finite in its dtype."""
    if vectors.shape != (len(rows), plan.dim):
        raise StoreError(
            f"{folder}: vectors {vectors.shape} for {len(rows)} rows, expected "
            f"({len(rows)}, {plan.dim})"
        )
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(plan.id):
        raise StoreError(f"{folder}: rows beyond the {len(plan.id)} of the plan")
    with np.errstate(over="ignore", invalid="ignore"):
        stored = vectors if readable.all() else np.where(readable[:, None], vectors, 0)
        stored = np.ascontiguousarray(stored, plan.dtype)
    # By its bits: numpy looks at each float16 as a float32.
    exponent = EXPONENT[plan.dtype]
    if (stored.view(exponent.dtype) & exponent).max(initial=0) == exponent:
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        raise StoreError(f"row {rows[bad[0]]}: features are not finite in {plan.dtype}")
    return stored


def _lay_out(path: Path, plan: Plan, number: int, block: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lay_out(descriptor, plan, number, block)
    except BaseException:
        path.unlink()  # it may have taken the last of the disk
        raise
    finally:
        os.close(descriptor)


def _runs(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Slices of `rows` in which each row follows the one before: one write each."""
    if not len(rows):
        return
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    yield from zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True)
