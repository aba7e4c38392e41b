"""Write a feature store: sharded, resumable, and reused row by row.

Vectors whose image digest is already stored are copied and not asked for again: adding 1,000 images
to a million costs 1,000. The old shards stay until the new ones are whole, so a kill at any moment
loses at most the last seconds.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from store.compose import add_union, composed
from store.disk import claim, publish, room
from store.errors import StoreError
from store.files import put, seal
from store.known import Known
from store.part import Part, as_stored
from store.shard import Plan, open_shard, shard_files
from store.shard_writer import COPY, SECONDS_BETWEEN_SYNCS, Lent

SHARD = 65_536  # rows: 100 MB at 768 dims; a changed byte uploads one shard anew
BLOCK = 256  # rows: what a kill can lose, and what one checksum covers


class FeatureWriter:
    """Fills one store to a plan. `todo` (int64) are the rows of the plan that `put` has to bring;
    `reused` counts those that were there already."""

    def __init__(self, folder: Path, plan: Plan, *, shard: int = SHARD, block: int = BLOCK) -> None:
        """Lay out the shards and copy every vector that is known. Raises StoreError when another
        process writes here or the disk is too small, OSError when the folder cannot be written."""
        if not len(plan.id) or not plan.dim:
            raise StoreError(f"{folder}: nothing to store: {len(plan.id)} images of {plan.dim} dim")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.plan, self._rows = folder, plan, shard
        self._whole = folder / "features.h5"
        self._claimed = claim(self._new_whole)
        self._parts: list[Part] = []
        self._synced = time.monotonic()
        try:
            with room(folder):
                known = Known(folder, plan)
                self._lay_out(block)
                self._copy(known)
        except BaseException:
            self.close()
            raise
        todo = [number * shard + part.todo for number, part in enumerate(self._parts)]
        self.todo = np.concatenate(todo)
        self.reused = len(plan.id) - len(self.todo)

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def put(
        self, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray | None = None
    ) -> None:
        """Store float [image, dim] `vectors` for the `rows` (int [image]) of the plan.

        Rows that are stored already stay as they are; a row that is not `readable` (bool [image])
        is remembered as such. Raises StoreError when a vector has not `dim` numbers or one of them
        is not finite or too large for the plan's dtype; nothing of this call is stored then.
        """
        readable = np.ones(len(rows), bool) if readable is None else readable
        stored = as_stored(self.folder, self.plan, rows, vectors, readable)
        number_of = rows // self._rows
        with room(self.folder):
            for number in np.unique(number_of):
                here = number_of == number if number_of.min() < number_of.max() else slice(None)
                local = rows[here] - number * self._rows
                self._parts[number].put(local, stored[here], readable[here])
            self._sync_now_and_then()

    def stored(self) -> Iterator[np.ndarray]:
        """The vectors that are stored so far, whoever put them, in blocks [image, dim]."""
        return (block for part in self._parts for block in part.vectors(COPY))

    @contextmanager
    def lent(self) -> Iterator[list[Lent]]:
        """The shards that lack rows, for other processes to fill, each by a `ShardWriter`. When the
        block ends, what those have put counts; `finish` checks it as it checks all."""
        parts = [(part, at * self._rows) for at, part in enumerate(self._parts) if len(part.todo)]
        with room(self.folder):
            for part, _ in parts:
                part.lend()
        yield [Lent(part.shard.path.resolve(), first, part.todo) for part, first in parts]
        for part, _ in parts:
            part.reread()

    def committed(self) -> int:
        """Rows that no kill can lose any more, those in lent shards too."""
        return sum(part.committed for part in self._parts)

    def unreadable(self) -> np.ndarray:
        """Rows of the plan (int64) that were stored as not readable."""
        found = [number * self._rows + part.unreadable for number, part in enumerate(self._parts)]
        return np.concatenate(found)

    def close(self) -> None:
        """Make what was put durable and let others write; a later writer goes on from there."""
        try:
            with room(self.folder):
                for part in self._parts:
                    part.close()
        finally:
            self._release()

    def finish(self) -> None:
        """Verify every block, put the shards in place and write `features.h5` over them.

        Raises StoreError when rows are missing, not readable, or not on the disk as they were put.
        """
        todo, unreadable = sum(len(part.todo) for part in self._parts), self.unreadable()
        if todo or len(unreadable):
            raise StoreError(
                f"{self.folder}: {todo} rows are missing and {len(unreadable)} are not readable: "
                "put them, or leave them out of the plan"
            )
        if self._claimed < 0:
            self._claimed = claim(self._new_whole)
        with self, room(self.folder):
            for part in self._parts:
                part.sync()
                open_shard(part.shard.path).check(np.arange(len(part.plan.id)))
            for part in self._parts:
                part.publish()
            keep = {part.final for part in self._parts}
            for left in shard_files(self.folder):
                if left not in keep:
                    left.unlink()
            self._write_whole()

    @property
    def _new_whole(self) -> Path:
        return self._whole.with_name(self._whole.name + ".part")

    def _lay_out(self, block: int) -> None:
        try:
            for number, start in enumerate(range(0, len(self.plan.id), self._rows)):
                plan = self.plan.keep(slice(start, start + self._rows))
                self._parts.append(Part(self.folder, plan, number, block))
        except OSError:
            for part in self._parts:  # a full disk must not stay full of empty shards
                if part.fresh:
                    part.shard.path.unlink()
            raise

    def _copy(self, known: Known) -> None:
        for part in self._parts:
            todo = part.todo
            for low in range(0, len(todo), COPY):
                rows = todo[low : low + COPY]
                found, vectors = known.vectors(part.plan.id[rows])
                part.put(rows[found], vectors, np.ones(len(found), bool))
                self._sync_now_and_then()

    def _sync_now_and_then(self) -> None:
        if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
            for part in self._parts:
                part.sync()
            self._synced = time.monotonic()

    def _write_whole(self) -> None:
        """`features.h5`: a virtual dataset over the shards, so any HDF5 tool sees one array."""
        rows = np.array([len(part.plan.id) for part in self._parts], np.int64)
        crcs = np.array([open_shard(part.final).summary() for part in self._parts], np.uint32)
        sources = [(part.final.name, len(part.plan.id)) for part in self._parts]
        with composed(self._claimed) as file:
            put(file, "store", "shard_rows", rows)
            put(file, "store", "shard_crc32", crcs)
            add_union(file, "features", sources, (self.plan.dim,), self.plan.dtype)
            add_union(file, "id", sources, (16,), np.uint8)
            add_union(file, "row", sources, (), np.int64)
            add_union(file, "split", sources, (), np.uint8)
            seal(file, "store", self.plan.attrs())
        publish(self._new_whole, self._whole, self._claimed)

    def _release(self) -> None:
        if self._claimed >= 0:
            os.close(self._claimed)
            self._claimed = -1
