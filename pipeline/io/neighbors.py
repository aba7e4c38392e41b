"""Read the table of neighbours as places in a feature store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import store
from cluster.neighbors.table import Neighbors
from cluster.scratch import scratch_array, taken
from pipeline.io.space import Space, train_rows
from pipeline.params import StageError

ROWS = 262_144  # images whose neighbours are read at once


@contextmanager
def open_neighbors(path: Path, of: tuple[str, str], row: np.ndarray) -> Iterator[store.File]:
    """The table at `path`. Raises StageError where it is of another dataset and backbone than `of`,
    or of other images than those in the rows `row` of the index."""
    with store.read(path, "neighbors") as file:
        for what, wanted in zip(("dataset", "backbone"), of, strict=True):
            if file.attrs[what] != wanted:
                raise StageError(
                    f"{path} is of {what} {file.attrs[what]}, expected one of {wanted}"
                )
        if not np.array_equal(known := file["row"], row):
            raise StageError(
                f"{path} is of {len(known)} images, the features hold others: run `dvc repro "
                "neighbors`"
            )
        yield file


def read_neighbors(path: Path, found: store.Features, k: int) -> Neighbors:
    """The first `k` neighbours of each image of `found`, as positions in it; all that there are
    where `train` has no more images.

    Raises StageError when the table is of other images, or has fewer columns.
    """
    with open_neighbors(path, (found.dataset, found.backbone), found.row) as file:
        whole = file.mapped("neighbor"), file.mapped("similarity")
        columns, others = whole[0].shape[1], len(train_rows(found)) - 1
        if columns < min(k, others):
            raise StageError(
                f"{k} neighbours are asked for, {path} has {columns}: set neighbors.k to {k}"
            )
        neighbor, similarity = (_columns(array, k) for array in whole)
    for low in range(0, len(neighbor), ROWS):
        neighbor[low : low + ROWS] = found.places(neighbor[low : low + ROWS])
    return Neighbors(neighbor, similarity)


def _columns(array: np.ndarray, k: int) -> np.ndarray:
    """The first `k` columns, which may be larger than memory."""
    out = scratch_array((len(array), min(k, array.shape[1])), array.dtype)
    for low in range(0, len(array), ROWS):
        out[low : low + ROWS] = array[low : low + ROWS, :k]
    return out


def among_train(table: Neighbors, train: np.ndarray, path: Path) -> Neighbors:
    """The same neighbours as positions among the rows `train` (int64) of the store.

    Raises StageError when one of them is not there; `path`: the table's, to name it.
    """
    place = np.full(len(table.neighbor), -1, np.int32)
    place[train] = np.arange(len(train), dtype=np.int32)
    neighbor = scratch_array(table.neighbor.shape, np.int32)
    for low in range(0, len(neighbor), ROWS):
        some = place[table.neighbor[low : low + ROWS]]
        if (some < 0).any():
            raise StageError(f"{path} has neighbours outside of train: run `dvc repro neighbors`")
        neighbor[low : low + ROWS] = some
    return Neighbors(neighbor, table.similarity)


def neighbors_in_train(path: Path, space: Space, k: int) -> np.ndarray:
    """The first `k` neighbours of each image of `train`, int32 [image, neighbor]: positions among
    these images."""
    table = among_train(read_neighbors(path, space.found, k), space.train, path)
    return taken(table.neighbor, space.train)
