"""Leading eigenvectors of a large symmetric matrix, by Lanczos with a thick restart.

After Wu and Simon (SIAM J. Matrix Anal. Appl. 22, 2000). The basis grows by the product of its last
vector with the matrix, made orthogonal to all others, twice, since once is not enough in floating
point. When it is full it is turned into the approximate eigenvectors, of which the leading ones
stay and are built on: in exact arithmetic the subspaces of the implicit restarts of ARPACK
(Sorensen 1992). But: a basis that one vector begins knows one of the vectors of equal eigenvalues;
so when all are found the search goes on from another vector, until that finds no larger ones. And
ARPACK holds its basis and a second one of results in memory; here each vector is a row of an array
that may be larger (cluster.scratch), all work goes by blocks of its columns that every core has its
own of, and the results stay in its first rows.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError
from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores
from cluster.scratch import scratch_array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CHANGE = 1e-6  # of an eigenvalue, that another vector may make
COLUMNS = 8192  # of the basis at once; fixed, since it decides the order of sums
RESTARTS = 10  # at most, times the images, as ARPACK in scipy


def basis_size(m: int) -> int:
    """How many vectors the basis has at most, as that of ARPACK in scipy."""
    return max(2 * m + 1, 20)


def leading_pairs(
    matrix: "csr_array", m: int, start: np.ndarray, *, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """The m largest eigenvalues, falling, and their eigenvectors, float64 [m, image].

    start: float64 [image], which the basis begins with. It ends when each value is within `tol`
    times itself of an eigenvalue, and none is found that is larger than these. Raises ClusterError
    when m is not in 1..images - 1, or when that takes more than RESTARTS times the images.
    """
    from threadpoolctl import threadpool_limits

    images, size = len(start), min(basis_size(m), len(start))
    if not 1 <= m < size:
        raise ClusterError(f"{m} eigenvectors of {images} images cannot be found by this method")
    basis, inner, kept = scratch_array((size + 1, images), np.float64), np.zeros((size, size)), 0
    before, restarts = np.full(m, -np.inf), RESTARTS * images
    with threadpool_limits(1, user_api="blas"):
        basis[0] = start / np.sqrt(start @ start)
        for number in range(restarts):
            for at in range(kept, size):
                inner[at, at], beyond = _extend(matrix, basis, at)
                inner[at, at + 1 : at + 2] = inner[at + 1 : at + 2, at] = beyond
            values, turn = (each[..., ::-1] for each in np.linalg.eigh(inner))
            scale = np.maximum(np.abs(values[:m]), np.finfo(np.float64).eps ** (2 / 3))
            off = beyond * np.abs(turn[-1, : m + 1])
            done = off[:m] <= tol * scale
            settled = done.all() and (values[:m] - before <= CHANGE * scale).all()
            if settled and values[m] + off[m] <= values[m - 1] + CHANGE * scale[-1]:
                _turn(basis, turn[:, :m])
                return values[:m].copy(), basis[:m]
            kept = m + min(int(done.sum()), (size - m) // 2)
            if other := done.all() and not settled:
                kept, before = m, values[:m].copy()
            _turn(basis, turn[:, :kept])
            inner[:] = np.diag(np.r_[values[:kept], np.zeros(size - kept)])
            if other:
                beyond = 0.0
                _any_other(basis, kept, number)
            inner[kept, :kept] = inner[:kept, kept] = beyond * turn[-1, :kept]
    raise ClusterError(f"{m} eigenvectors of {images} images are not found in {restarts} restarts")


def _extend(matrix: "csr_array", basis: np.ndarray, at: int) -> tuple[float, float]:
    """Write the vector after number `at`. Returns the product of number `at` with itself by the
    matrix, and the length of what goes beyond the basis: 0 where nothing does, and the new vector
    is any other."""
    new, arrays = basis[at + 1], (matrix.indptr, matrix.indices, matrix.data)
    on_cores(partial(_product, arrays, basis[at], new), range(0, len(new), COLUMNS))
    whole = np.sqrt(_square(new))
    overlap = _overlap(basis, at + 1)
    overlap += _without(basis, at + 1, overlap)
    beyond = np.sqrt(_square(new))
    if beyond <= whole * np.finfo(np.float64).eps * len(basis):
        _any_other(basis, at + 1, at)
        return float(overlap[at]), 0.0
    new /= beyond
    return float(overlap[at]), float(beyond)


def _any_other(basis: np.ndarray, at: int, seed: int) -> None:
    """Make the vector number `at` any one that is orthogonal to those before."""
    new = basis[at]
    new[:] = np.random.default_rng(seed).uniform(-1, 1, len(new))
    _without(basis, at, _overlap(basis, at))
    new /= np.sqrt(_square(new))


def _overlap(basis: np.ndarray, count: int) -> np.ndarray:
    """The products of the vector number `count` with those before, float64 [count]."""
    starts = range(0, basis.shape[1], COLUMNS)
    sums = np.empty((len(starts), count))

    def some(low: int) -> None:
        block = basis[: count + 1, low : low + COLUMNS]
        sums[low // COLUMNS] = block[:count] @ block[count]

    on_cores(some, starts)
    return np.asarray(sums.sum(axis=0))


def _without(basis: np.ndarray, count: int, overlap: np.ndarray) -> np.ndarray:
    """Take `overlap` of those before from the vector number `count`, and what then is left of them
    as well: float64 [count], the latter."""
    starts = range(0, basis.shape[1], COLUMNS)
    sums = np.empty((len(starts), count))

    def first(low: int) -> None:
        block = basis[: count + 1, low : low + COLUMNS]
        block[count] -= overlap @ block[:count]
        sums[low // COLUMNS] = block[:count] @ block[count]  # while it is in the cache

    def again(low: int) -> None:
        block = basis[: count + 1, low : low + COLUMNS]
        block[count] -= left @ block[:count]

    on_cores(first, starts)
    left = np.asarray(sums.sum(axis=0))
    on_cores(again, starts)
    return left


def _turn(basis: np.ndarray, turn: np.ndarray) -> None:
    """Replace the basis by its combinations, float64 [vector, combination], and the vector beyond
    it, which comes after them."""
    size, kept = turn.shape

    def some(low: int) -> None:
        block = basis[:, low : low + COLUMNS]
        block[:kept] = turn.T @ block[:size]
        block[kept] = block[size]

    on_cores(some, range(0, basis.shape[1], COLUMNS))


def _square(vector: np.ndarray) -> float:
    """The sum of squares, block by block."""
    blocks = (vector[low : low + COLUMNS] for low in range(0, len(vector), COLUMNS))
    return float(sum(block @ block for block in blocks))


def _product(arrays: tuple[np.ndarray, ...], x: np.ndarray, out: np.ndarray, low: int) -> None:
    begin, other, weight = arrays
    _rows_product(low, min(low + COLUMNS, len(out)), begin, other, weight, x, out)


@in_order
def _rows_product(
    low: int, high: int, begin: np.ndarray, other: np.ndarray, weight: np.ndarray, x: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    for row in range(low, high):
        total = 0.0
        for entry in range(begin[row], begin[row + 1]):
            total += weight[entry] * x[other[entry]]
        out[row] = total
