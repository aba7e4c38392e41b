"""One shard of a feature store: an HDF5 file with room for its vectors from the start.

The structure, the ids and the room are written before the first vector is known; after that only
bytes inside the arrays change. So there is no moment at which a kill leaves a file that HDF5 cannot
open, and the vectors can be memory-mapped where HDF5 says they lie.
"""

import os
import zlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from store.errors import StoreError
from store.files import Attributes, File, put, read, refused, seal


class Plan(NamedTuple):
    """What a store or shard is to hold, one entry a row. id: uint8 [image, 16], row: int64 [image],
    split: uint8 [image], splits: their names, encoder: digest of what computes the vectors."""

    dataset: str
    backbone: str
    encoder: str
    dim: int
    splits: list[str]
    id: np.ndarray
    row: np.ndarray
    split: np.ndarray

    def keep(self, rows: np.ndarray | slice) -> "Plan":
        """The same plan with only `rows` (a slice, bool or int [image])."""
        return self._replace(id=self.id[rows], row=self.row[rows], split=self.split[rows])

    def attrs(self) -> Attributes:
        """The root attributes of every file of the store."""
        names = ("dataset", "backbone", "encoder", "dim", "splits")
        return {name: getattr(self, name) for name in names}


class Shard:
    """One shard: small arrays in memory, vectors mapped, each block checked on first use."""

    def __init__(self, path: Path, file: File) -> None:
        self.path, self.attrs = path, file.attrs
        self.id, self.row, self.split = file["id"], file["row"], file["split"]
        self.block: int = file.attrs["block"]
        with refused(path):
            self.readable = file.raw("readable")[()]
            self.done = file.raw("done")[()].astype(bool)
            self.crc = file.raw("crc32")[()]
            names = ("features", "readable", "done", "crc32")
            self.at = {name: file.raw(name).id.get_offset() for name in names}
            self.features = _map(path, file.raw("features"))
        self._checked = np.zeros(len(self.done), bool)

    def check(self, rows: np.ndarray) -> None:
        """Compare the crc32 of the blocks that hold `rows` (int); each block is compared once."""
        for block in np.unique(rows // self.block):
            if not self._checked[block]:
                if not self.sound(int(block)):
                    first = block * self.block
                    raise StoreError(
                        f"{self.path}: rows {first} to {first + self.block - 1} are damaged (crc32 "
                        "differs): `dvc repro --force --single-item embed@...` embeds just these "
                        "anew, or remove the file and `dvc checkout` or `dvc pull` it"
                    )
                self._checked[block] = True

    def sound(self, block: int) -> bool:
        """Whether a block is stored and its bytes are what was written."""
        rows = self.features[block * self.block : (block + 1) * self.block]
        return bool(self.done[block]) and zlib.crc32(rows.data) == self.crc[block]

    def summary(self) -> int:
        """One number over all that the shard says, which ties it to its store."""
        return digest(self.crc, self.done, self.readable, self.id, self.row, self.split)

    def holds(self, plan: Plan, block: int) -> bool:
        """Whether the shard was laid out for just this plan."""
        return (
            self.block == block
            and all(self.attrs[name] == value for name, value in plan.attrs().items())
            and np.array_equal(self.id, plan.id)
            and np.array_equal(self.row, plan.row)
            and np.array_equal(self.split, plan.split)
        )


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of the store `folder` lies."""
    return folder / f"shard-{number:05d}.h5"


def shard_files(folder: Path) -> list[Path]:
    """All shards of a folder, finished or partial."""
    return sorted([*folder.glob("shard-*.h5"), *folder.glob("shard-*.part")])


def open_shard(path: Path) -> Shard:
    """Open one shard, finished or partial. Raises StoreError, by name, if it is not sound."""
    with read(path, "features") as file:
        return Shard(path, file)


def try_shard(path: Path) -> Shard | None:
    """The shard at `path`, or None where there is no sound one."""
    try:
        return open_shard(path)
    except StoreError:
        return None


def create_shard(path: Path, plan: Plan, number: int, block: int) -> None:
    """Lay out a shard for `plan` with no vector in it yet. OSError when the disk has no room."""
    count = len(plan.id)
    blocks = -(-count // block)
    with h5py.File(path, "w") as file:
        for name, array in {"id": plan.id, "row": plan.row, "split": plan.split}.items():
            put(file, "features", name, array)
        _allocate(file, "features", (count, plan.dim), np.float16)
        _allocate(file, "readable", (count,), np.uint8)
        _allocate(file, "done", (blocks,), np.uint8)
        _allocate(file, "crc32", (blocks,), np.uint32)
        seal(file, "features", {**plan.attrs(), "shard": number, "block": block})
    with open(path, "rb+") as raw:
        if hasattr(os, "posix_fallocate"):  # a full disk is found now, not after hours
            os.posix_fallocate(raw.fileno(), 0, path.stat().st_size)


def digest(*arrays: np.ndarray) -> int:
    """The crc32 over several arrays."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc


def _allocate(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type) -> None:
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # the file's holes are zeros already
    early.set_obj_track_times(False)
    space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(np.dtype(dtype))
    h5py.h5d.create(file.id, name.encode(), kind, space, early)


def _map(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()  # None unless contiguous and allocated
    if offset is None or dataset.dtype != np.float16:
        raise ValueError(f"features are {dataset.dtype}, chunked or empty, not contiguous float16")
    return np.memmap(path, np.float16, "r", offset, dataset.shape)
