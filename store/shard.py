"""One shard of a feature store: an HDF5 file with room for its vectors from the start.

The structure, the ids and the room are written before the first vector is known; after that only
bytes inside the arrays change. So there is no moment at which a kill leaves a file that HDF5 cannot
open, and the vectors can be memory-mapped where HDF5 says they lie.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from store.compose import add_room, composed
from store.errors import StoreError
from store.files import Attributes, File, checksum, mapped, put, read, refused, seal

DTYPES = ("float16", "float32")  # of the vectors of a store
FILLED = ("features", "readable", "crc32", "done")  # what changes once the shard is laid out
AT_ONCE = 8  # blocks, from which on threads pay
ANEW = (
    "`dvc repro --force --single-item embed@...` embeds just what is damaged; or remove the file "
    "and `dvc checkout` or `dvc pull` it"
)


class Plan(NamedTuple):
    """What a store or shard is to hold, one entry a row. id: uint8 [image, 16], row: int64 [image],
    split: uint8 [image], splits: their names, encoder: digest of what computes the vectors, dtype:
    one of DTYPES, in which they are stored; widths: of the parts of a fused backbone."""

    dataset: str
    backbone: str
    encoder: str
    dim: int
    splits: list[str]
    id: np.ndarray
    row: np.ndarray
    split: np.ndarray
    dtype: str = "float16"
    widths: tuple[int, ...] = ()

    def keep(self, rows: np.ndarray | slice) -> "Plan":
        """The same plan with only `rows` (a slice, bool or int [image])."""
        return self._replace(id=self.id[rows], row=self.row[rows], split=self.split[rows])

    def attrs(self) -> Attributes:
        """The root attributes of every file of the store."""
        names = ("dataset", "backbone", "encoder", "dim", "splits")
        of_parts: Attributes = {"widths": list(self.widths)} if self.widths else {}
        return {**{name: getattr(self, name) for name in names}, **of_parts}


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
            self.at = {name: file.raw(name).id.get_offset() for name in FILLED}
            self.features = mapped(path, file.raw("features"))
            count, blocks = len(self.id), -(-len(self.id) // self.block)
            lengths = [len(a) for a in (self.features, self.readable, self.done, self.crc)]
            if lengths != [count, count, blocks, blocks]:
                raise ValueError(f"arrays of {lengths} rows for {count} images")
        self._looked, self._sound = np.zeros(blocks, bool), np.zeros(blocks, bool)

    def check(self, rows: np.ndarray) -> None:
        """Raise StoreError if a block that holds one of `rows` (int [image]) is not sound."""
        blocks = np.unique(rows // self.block)
        bad = blocks[~self.sound(blocks)]
        if len(bad):
            first = int(bad[0]) * self.block
            last = min(first + self.block, len(self.id)) - 1
            raise StoreError(
                f"{self.path}: rows {first} to {last} are damaged (crc32 differs): {ANEW}"
            )

    def sound(self, blocks: np.ndarray) -> np.ndarray:
        """bool, one for each of `blocks` (int): it is stored and its bytes are what was written.
        Each block is looked at once."""
        new = blocks[~self._looked[blocks]]
        stored = new[self.done[new]]
        self._sound[stored] = self.checksums(stored) == self.crc[stored]
        self._looked[new] = True
        return self._sound[blocks]

    def checksums(self, blocks: np.ndarray) -> np.ndarray:
        """The crc32 of what each of `blocks` (int) holds now, uint32."""

        def one(block: int) -> int:
            here = slice(block * self.block, (block + 1) * self.block)
            return checksum(self.features[here], self.readable[here])

        if len(blocks) < AT_ONCE:
            return np.array([one(block) for block in blocks.tolist()], np.uint32)
        with ThreadPoolExecutor() as cores:  # a pool that stayed would not survive a fork
            return np.fromiter(cores.map(one, blocks.tolist()), np.uint32, len(blocks))

    def summary(self) -> int:
        """One number over all that the shard says, which ties it to its store."""
        return checksum(self.crc, self.done, self.readable, self.id, self.row, self.split)

    def holds(self, plan: Plan, block: int) -> bool:
        """Whether the shard was laid out for just this plan."""
        return (
            self.block == block
            and self.features.dtype == plan.dtype
            and all(self.attrs.get(name) == value for name, value in plan.attrs().items())
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


def lay_out(descriptor: int, plan: Plan, number: int, block: int) -> None:
    """Write a shard for `plan` with no vector in it yet. OSError when the disk has no room."""
    count = len(plan.id)
    blocks = -(-count // block)
    with composed(descriptor) as file:
        for name, array in {"id": plan.id, "row": plan.row, "split": plan.split}.items():
            put(file, "features", name, array)
        add_room(file, "features", (count, plan.dim), plan.dtype)
        add_room(file, "readable", (count,), np.uint8)
        add_room(file, "done", (blocks,), np.uint8)
        add_room(file, "crc32", (blocks,), np.uint32)
        seal(file, "features", {**plan.attrs(), "shard": number, "block": block})
