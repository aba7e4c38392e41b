"""One shard of a store, filled by a process of its own, on another machine perhaps.

Whoever holds the store's `FeatureWriter` lends the shard and publishes it when all are whole. The
process may be killed and the work given to another, which goes on from what is on the disk; were
both alive for a moment, they would write the same bytes.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, final

import numpy as np

from store.disk import room
from store.errors import StoreError
from store.part import Part, as_stored
from store.shard import Plan, open_shard

SECONDS_BETWEEN_SYNCS = 2.0
COPY = 4096  # rows read at a time


class Lent(NamedTuple):
    """A shard laid out at `path`, whose first row is row `first` of the store, and those of its
    rows that lack vectors, int64 [image]."""

    path: Path
    first: int
    todo: np.ndarray


@final
class ShardWriter:
    """As `FeatureWriter`, for the rows of one shard: `plan`, `todo`, `reused`, `put`."""

    def __init__(self, lent: Lent) -> None:
        """Go on with the shard. Raises StoreError when it is not there or not sound."""
        shard = open_shard(lent.path)
        facts = {name: shard.attrs[name] for name in Plan._fields if name in shard.attrs}
        own = {name: getattr(shard, name) for name in ("id", "row", "split")}
        self.plan = Plan(**facts, **own, dtype=shard.features.dtype.name)
        self.folder = lent.path.parent
        self._part = Part(self.folder, self.plan, shard.attrs["shard"], shard.block)
        if self._part.shard.path != lent.path or self._part.fresh:
            raise StoreError(f"{lent.path}: went away while it was opened: run again")
        self._part.accept(np.delete(np.arange(len(shard.id)), lent.todo))
        self._synced = time.monotonic()
        self.todo = self._part.todo
        self.reused = len(shard.id) - len(self.todo)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make what was put durable."""
        with room(self.folder):
            self._part.close()

    def stored(self) -> Iterator[np.ndarray]:
        """As of `FeatureWriter`: the vectors that are stored, in blocks [image, dim]."""
        return self._part.vectors(COPY)

    def put(
        self, rows: np.ndarray, vectors: np.ndarray, readable: np.ndarray | None = None
    ) -> None:
        """Store float [image, dim] `vectors` for `rows` (int [image]) of the shard, as
        `FeatureWriter.put` does for those of a store."""
        readable = np.ones(len(rows), bool) if readable is None else readable
        stored = as_stored(self.folder, self.plan, rows, vectors, readable)
        with room(self.folder):
            self._part.put(rows, stored, readable)
            if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
                self._part.sync()
                self._synced = time.monotonic()
