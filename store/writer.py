"""Write a feature store: sharded, resumable, and reused row by row.

Vectors whose image digest is already stored are copied and not asked for again: adding 1,000 images
to a million costs 1,000. The old shards stay until the new ones are whole, so a kill at any moment
loses at most the last block of rows.
"""

import errno
import fcntl
import os
from pathlib import Path

import h5py
import numpy as np

from store.errors import StoreError
from store.files import publish, put, seal
from store.known import Known
from store.part import Part
from store.shard import Plan, open_shard, shard_files

SHARD = 65_536  # rows: 100 MB at 768 dims; a changed byte uploads one shard anew
BLOCK = 256  # rows: what a kill can lose, and what one checksum covers


class FeatureWriter:
    """Fills one store to a plan. `todo` (int64) are the rows of the plan that `put` has to bring;
    `reused` counts those that were there already."""

    def __init__(self, folder: Path, plan: Plan, *, shard: int = SHARD, block: int = BLOCK) -> None:
        """Lay out the shards and copy every vector that is known. Raises StoreError when another
        process writes here or the disk is too small, OSError when the folder cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.plan, self._rows = folder, plan, shard
        self._lock = _lock(folder)
        known = Known(folder, plan)
        try:
            self._parts = [
                Part(folder, plan.keep(slice(start, start + shard)), number, block)
                for number, start in enumerate(range(0, len(plan.id), shard))
            ]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size = len(plan.id) * plan.dim * 2 / 1e9
            raise StoreError(
                f"{folder}: no room on the disk for {size:.2f} GB of features: make room, run again"
            ) from error
        for part in self._parts:
            _copy(known, part)
        todo = [number * shard + part.todo for number, part in enumerate(self._parts)]
        self.todo = np.concatenate([np.empty(0, np.int64), *todo])
        self.reused = len(plan.id) - len(self.todo)

    def put(
        self, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray | None = None
    ) -> None:
        """Store float [image, dim] `vectors` for the `rows` (int [image]) of the plan.

        A row that is not `readable` (bool [image]) is remembered as such. Raises StoreError when a
        vector is not finite or too large for float16; nothing of this call is stored then.
        """
        readable = np.ones(len(rows), bool) if readable is None else readable
        with np.errstate(over="ignore"):
            half = np.where(readable[:, None], vectors, 0).astype(np.float16)
        bad = np.flatnonzero(~np.isfinite(half).all(axis=1))
        if len(bad):
            raise StoreError(f"row {rows[bad[0]]}: features are not finite in float16")
        number_of = rows // self._rows
        for number in np.unique(number_of):
            here = number_of == number
            local = rows[here] - number * self._rows
            self._parts[number].put(local, half[here], readable[here])

    def unreadable(self) -> np.ndarray:
        """Rows of the plan (int64) that were remembered as not readable."""
        return np.flatnonzero(np.concatenate([part.readable for part in self._parts]) == 0)

    def close(self) -> None:
        """Make what was put durable and let others write; a later writer goes on from there."""
        for part in self._parts:
            part.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def finish(self) -> None:
        """Verify every block, put the shards in place and write `features.h5` over them."""
        for part in self._parts:
            part.sync()
            open_shard(part.shard.path).check(np.arange(len(part.plan.id)))
        for part in self._parts:
            if not part.finished:
                publish(part.shard.path, part.final)
        self._write_whole()
        keep = {part.final for part in self._parts}
        for left in shard_files(self.folder):
            if left not in keep:
                left.unlink()
        self.close()

    def _write_whole(self) -> None:
        """`features.h5`: a virtual dataset over the shards, so any HDF5 tool sees one array."""
        rows = np.array([len(part.plan.id) for part in self._parts], np.int64)
        crcs = np.array([open_shard(part.final).summary() for part in self._parts], np.uint32)
        path = self.folder / "features.h5"
        partial = path.with_name(path.name + ".part")
        with h5py.File(partial, "w") as file:
            put(file, "store", "shard_rows", rows)
            put(file, "store", "shard_crc32", crcs)
            sources = [(part.final.name, len(part.plan.id)) for part in self._parts]
            _join(file, "features", sources, (self.plan.dim,), np.float16)
            _join(file, "id", sources, (16,), np.uint8)
            _join(file, "row", sources, (), np.int64)
            _join(file, "split", sources, (), np.uint8)
            seal(file, "store", self.plan.attrs())
        publish(partial, path)


def _join(
    file: h5py.File, name: str, sources: list[tuple[str, int]], tail: tuple[int, ...], dtype: type
) -> None:
    """One virtual dataset over the array `name` of the shards (file name, number of rows)."""
    total = h5py.h5s.create_simple((sum(count for _, count in sources), *tail))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)  # h5py's own create_virtual_dataset would write the time
    start = 0
    for shard, count in sources:
        there, here = h5py.h5s.create_simple((count, *tail)), total.copy()
        here.select_hyperslab((start, *(0 for _ in tail)), (count, *tail))
        plist.set_virtual(here, shard.encode(), name.encode(), there)
        start += count
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), total, plist)


def _copy(known: Known, part: Part) -> None:
    todo = part.todo
    for low in range(0, len(todo), 4096):
        rows = todo[low : low + 4096]
        found, vectors = known.vectors(part.plan.id[rows])
        if len(found):
            part.put(rows[found], vectors, np.ones(len(found), bool))


def _lock(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            f"{folder}: another process is writing this store; wait for it or stop it"
        ) from None
    return descriptor
