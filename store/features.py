"""Read a feature store: memory-mapped blocks of its shards, every block checked once.

Nothing needs the whole array in RAM: `block` and `take` turn the rows asked for into float32.
"""

from functools import cached_property
from pathlib import Path

import numpy as np

from store.errors import StoreError
from store.files import read
from store.shard import ANEW, DTYPES, open_shard, shard_path


class Features:
    """The vectors of one dataset by one backbone, in index order.

    row: int64 [image], row of each image in the index (images that could not be read are not here).
    dtype: float16 or float32, in which the vectors are stored.
    widths: how many dims each part of a fused backbone has, side by side; of others all are one.
    split: uint8 [image], which of `splits` each image is in. id: uint8 [image, 16].
    """

    def __init__(self, path: Path) -> None:
        """Open the store at `path`. Raises StoreError, naming the file, when it is not sound."""
        with read(path / "features.h5", "store") as file:
            rows, summaries, attrs = file["shard_rows"], file["shard_crc32"], file.attrs
        self.path = path
        self.dataset: str = attrs["dataset"]
        self.backbone: str = attrs["backbone"]
        self.encoder: str = attrs["encoder"]
        self.splits: list[str] = attrs["splits"]
        self.dim: int = attrs["dim"]
        self.widths: list[int] = attrs.get("widths", [self.dim])
        self._start = np.concatenate([[0], np.cumsum(rows)])
        self._shards = [open_shard(shard_path(path, number)) for number in range(len(rows))]
        for shard, summary in zip(self._shards, summaries, strict=True):
            if shard.summary() != summary:
                raise StoreError(
                    f"{shard.path}: damaged, or of another run than features.h5: {ANEW}"
                )
        self.dtype: str = self._shards[0].features.dtype.name if self._shards else DTYPES[0]
        for shard in self._shards:
            if shard.features.dtype != self.dtype:
                other = shard.features.dtype.name
                raise StoreError(f"{shard.path}: {other} beside shards of {self.dtype}: {ANEW}")
        self.row = np.concatenate([shard.row for shard in self._shards])
        self.split = np.concatenate([shard.split for shard in self._shards])
        self.id = np.concatenate([shard.id for shard in self._shards])

    def __len__(self) -> int:
        return int(self._start[-1])

    def checksums(self) -> list[int]:
        """One of each shard, over all that it says: equal stores have equal ones."""
        return [shard.summary() for shard in self._shards]

    def block(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop as float32 [image, dim]; a stop beyond the last row means the last."""
        stop = min(stop, len(self))
        out = np.empty((max(0, stop - start), self.dim), np.float32)
        for shard, first, end in zip(self._shards, self._start, self._start[1:], strict=False):
            low, high = max(start, first), min(stop, end)
            if low < high:
                shard.check(np.arange(low - first, high - first))
                out[low - start : high - start] = shard.features[low - first : high - first]
        return out

    def take(self, rows: np.ndarray, dtype: type[np.floating] = np.float32) -> np.ndarray:
        """The `rows` (int [image], any order) as float32 [image, dim], or in another dtype;
        IndexError past the end."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        out = np.empty((len(rows), self.dim), dtype)
        number_of = np.searchsorted(self._start, rows, side="right") - 1
        for number in np.unique(number_of):
            here = number_of == number
            local = rows[here] - self._start[number]
            self._shards[number].check(local)
            out[here] = self._shards[number].features[local]
        return out

    @cached_property
    def _order(self) -> np.ndarray | None:
        """The images by their row of the index; None where these are 0, 1, 2, ..."""
        in_order = np.array_equal(self.row, np.arange(len(self)))
        return None if in_order else np.argsort(self.row, kind="stable")

    def places(self, row: np.ndarray) -> np.ndarray:
        """Where the images with these rows of the index lie in the store, int32 of the shape of
        `row`. Raises StoreError when one of them is not here."""
        if self._order is None and row.min(initial=0) >= 0 and row.max(initial=-1) < len(self):
            return row.astype(np.int32)
        order = np.arange(len(self)) if self._order is None else self._order
        at = np.searchsorted(self.row, row, sorter=order)
        at = order[np.minimum(at, len(order) - 1)]
        if not np.array_equal(self.row[at], row):
            raise StoreError(f"{self.path}: has not all of the images asked for: run `dvc repro`")
        return at.astype(np.int32)
