"""Rows: the interface to vectors that may not fit in memory (`len`, `dim`, `block` and `take`).

A feature store implements it, and so do the array, the subset, the projection and the cache below.
Kernels read their vectors through it, tile by tile, so one function serves RAM, disk and GPU.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Rows(Protocol):
    """float32 vectors [image, dim] that are read block by block."""

    @property
    def dim(self) -> int: ...
    def __len__(self) -> int: ...

    def block(self, start: int, stop: int) -> np.ndarray:
        """Rows start..stop as float32 [image, dim]."""
        ...

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The `rows` (int [image], any order) as float32 [image, dim]."""
        ...


class ArrayRows:
    """An array [image, dim] as Rows."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = np.ascontiguousarray(array, np.float32)
        self.dim: int = array.shape[1]

    def __len__(self) -> int:
        return len(self.array)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.array[start:stop]

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.array[rows]


class Subset:
    """Some of the rows (int64 [image], in any order), such as those of one split."""

    def __init__(self, rows: Rows, index: np.ndarray) -> None:
        self._rows, self._index = rows, index
        self.dim: int = rows.dim

    def __len__(self) -> int:
        return len(self._index)

    def block(self, start: int, stop: int) -> np.ndarray:
        index = self._index[start:stop]
        if len(index) and (np.diff(index) == 1).all():  # contiguous: no gathering
            return self._rows.block(int(index[0]), int(index[-1]) + 1)
        return self._rows.take(index)

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self._rows.take(self._index[rows])


class Basis(NamedTuple):
    """The projection of vectors before they are clustered: x → (x/|x| - mean) components, scaled.

    mean: float64 [dim]; components: float64 [component, dim], unit rows by falling variance;
    variance: float64 [component], 0 where it is rounding; normalize: divide by the L2 norm first;
    whiten: scale each component to unit variance.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    normalize: bool
    whiten: bool

    def project(self, x: np.ndarray, dims: int) -> np.ndarray:
        """float32 [image, dim] → [image, dims]; dims 0: normalised if wanted, not projected."""
        if self.normalize:
            # A vector of zeros has no direction and stays
            x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-12))
        if not dims:
            return x
        # Whitening, or a head that standardizes, would amplify directions of rounding: set to 0
        real = self.variance[:dims] > self.variance[0] * 1e-10
        matrix = self.components[:dims] * real[:, None]
        if self.whiten:
            scale = np.sqrt(self.variance[:dims], where=real, out=np.ones(len(real)))
            matrix = matrix / scale[:, None]
        # In float64, so that after rounding the other rows of the block have no influence
        centred = x.astype(np.float64)
        centred -= self.mean
        return (centred @ matrix.T).astype(np.float32)


class Reduced:
    """Rows projected by a basis to its `dims` leading components (0: normalised only)."""

    def __init__(self, rows: Rows, basis: Basis, dims: int) -> None:
        self._rows, self._basis, self._dims = rows, basis, dims
        self.dim: int = dims or rows.dim

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self._basis.project(self._rows.block(start, stop), self._dims)

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self._basis.project(self._rows.take(rows), self._dims)


class UnitRows:
    """Rows at length 1; rows of zeros stay zeros."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.dim: int = rows.dim

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, start: int, stop: int) -> np.ndarray:
        return _unit(self._rows.block(start, stop))

    def take(self, rows: np.ndarray) -> np.ndarray:
        return _unit(self._rows.take(rows))


def _unit(x: np.ndarray) -> np.ndarray:
    # In float64, so that after rounding the other rows of the block have no influence
    length = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))[:, None]
    return (x / np.maximum(length, 1e-12)).astype(np.float32)


TILE = 8192  # rows that a kernel reads at once; fixed, since it decides the order of sums


def cached(rows: Rows, memory_gb: float) -> Rows:
    """The rows, copied to RAM if they fit in `memory_gb` (1e9 bytes)."""
    if isinstance(rows, ArrayRows) or len(rows) * rows.dim * 4 > memory_gb * 1e9:
        return rows
    array = np.empty((len(rows), rows.dim), np.float32)
    for start in range(0, len(rows), TILE):
        array[start : start + TILE] = rows.block(start, min(start + TILE, len(rows)))
    return ArrayRows(array)
