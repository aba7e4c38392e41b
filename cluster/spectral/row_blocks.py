"""Sparse matrices made of blocks of rows, whose arrays may be larger than memory.

A graph of millions of images has some hundred million edges. scipy makes a matrix at once, beside
its parts, and a changed one beside the one before; here the rows come a block at a time and are
written where they stay (cluster.scratch). Each row has the numbers, and their order, that scipy
would give it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from cluster.scratch import scratch_array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROWS = 65_536  # of a block
# Of a block of rows: the number of entries of each; their columns, sorted; and their numbers
Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def begins(length: np.ndarray) -> np.ndarray:
    """The index pointer of rows of such lengths: 32-bit if possible, since scipy then stores the
    column indices in 32 bits as well."""
    out = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=out[1:])
    return out.astype(np.int32) if out[-1] < 2**31 else out


def of_blocks(blocks: Iterable[Block], images: int, most: int) -> "csr_array":
    """The float64 csr [image, image] of all rows, which have `most` entries together, or fewer."""
    from scipy.sparse import csr_array

    other, weight = scratch_array(most, np.int32), scratch_array(most, np.float64)
    length, row, stop = np.zeros(images, np.int64), 0, 0
    for of_each, columns, numbers in blocks:
        start, stop = stop, stop + len(columns)
        other[start:stop], weight[start:stop] = columns, numbers
        length[row : row + len(of_each)] = of_each
        row += len(of_each)
    return csr_array((weight[:stop], other[:stop], begins(length)), (images, images))


def part(matrix: "csr_array", images: np.ndarray) -> "csr_array":
    """The rows and columns of sorted int [image], which have no entry in another column."""
    place = np.zeros(matrix.shape[0], np.int32)
    place[images] = np.arange(len(images), dtype=np.int32)
    inside = np.zeros(matrix.shape[0], bool)
    inside[images] = True
    length = np.diff(matrix.indptr)

    def blocks() -> Iterator[Block]:
        for low in range(0, matrix.shape[0], ROWS):
            rows, entries = slice(low, low + ROWS), of_rows(matrix, low, ROWS)
            kept = np.repeat(inside[rows], length[rows])
            columns = place[matrix.indices[entries][kept]]
            yield length[rows][inside[rows]], columns, matrix.data[entries][kept]

    return of_blocks(blocks(), len(images), int(length[images].sum()))


def of_rows(matrix: "csr_array", low: int, rows: int) -> slice:
    """Where the entries of so many rows from `low` on lie."""
    high = min(low + rows, matrix.shape[0])
    return slice(int(matrix.indptr[low]), int(matrix.indptr[high]))
