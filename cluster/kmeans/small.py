"""Lloyd's algorithm for few vectors of few dims: a run is one compiled loop, one run per core.

With few vectors, an iteration of lloyd.py spends more time on its set-up than on its work. The
result is the same, up to rounding: distances are float64 here; the nearest centroid and its ties
are those of argmin_cpu.py, images that keep their cluster by Hamerly's bounds are skipped as in
hamerly_bounds.py, and empty clusters are relocated as in empty_clusters.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from cluster.kernels.argmin_cpu import TIE
from cluster.kernels.jit import compiled
from cluster.kernels.threads import on_cores
from cluster.kmeans.api import Fit, empty_fit, require_k, update_best
from cluster.kmeans.hamerly_bounds import widen
from cluster.kmeans.init import start_centroids
from cluster.vectors.rows import Rows

VECTORS, CENTROIDS = 2**20, 2**13  # most numbers in all vectors, and in the centroids of a run
ROWS = 512  # images that are compared with the centroids at once
SURE = 1 - 1e-9  # bounds have to differ by more than rounding


def small_kmeans(
    rows: Rows, k: int, *, seeds: Sequence[int], n_init: int, max_iter: int, tol: float
) -> Fit:
    """As cluster.kmeans.api.kmeans, for rows that are small by `is_small`."""
    require_k(k, len(rows))
    x, best = rows.block(0, len(rows)), empty_fit(len(seeds), k, rows.dim)
    runs = [(seed, start) for seed in seeds for start in range(n_init)]
    seed_of = [seed for seed in range(len(seeds)) for _ in range(n_init)]
    starts = start_centroids(rows, k, runs, False, len(rows), "cpu")
    update_best(best, seed_of, *small_lloyd(x, starts, max_iter, tol))
    return best


def is_small(rows: Rows, k: int) -> bool:
    """Whether vectors and centroids fit in the cache of a core."""
    return len(rows) * rows.dim <= VECTORS and k * rows.dim <= CENTROIDS


def small_lloyd(
    x: Float32[np.ndarray, "image dim"],
    starts: Float32[np.ndarray, "run cluster dim"],
    max_iter: int,
    tol: float,
) -> tuple[
    Float32[np.ndarray, "run cluster dim"], Float64[np.ndarray, " run"], Int64[np.ndarray, " run"]
]:
    """Iterate every run of `starts` until it converges, as cluster.kmeans.lloyd does: centroids,
    inertia and iterations."""
    runs = len(starts)
    centroids, inertia = starts.astype(np.float64), np.empty(runs)
    iterations = np.empty(runs, np.int64)
    least = tol * x.var(axis=0, dtype=np.float64).mean()

    def work(run: int) -> None:
        inertia[run], iterations[run] = _run(x, centroids[run], max_iter, least)

    on_cores(work, range(runs))
    return centroids.astype(np.float32), inertia, iterations


@compiled
def _run(x: np.ndarray, c: np.ndarray, max_iter: int, least: float) -> tuple[float, int]:
    """One run, which updates c (float64 [cluster, dim]) in place: its inertia and iterations."""
    n, k, dim = len(x), len(c), x.shape[1]
    norms, own = np.zeros(n), np.full(n, -1)
    upper, lower = np.full(n, np.inf), np.zeros(n)
    for i in range(n):
        for d in range(dim):
            norms[i] += np.float64(x[i, d]) * x[i, d]
    norms = np.sqrt(norms)
    sums, counts, shift = np.zeros((k, dim)), np.zeros(k, np.int64), np.zeros(k)
    iteration, still = 0, False
    while iteration < max_iter and not still:
        iteration += 1
        moved = _assign(x, norms, c, own, upper, lower, sums, counts)
        squared_shift = _update(x, c, own, sums, counts, shift)
        first, second, which = _two_largest(shift)
        widen(own, shift, first, second, which, upper, lower, 1.0, 1.0)
        still = moved == 0 and squared_shift == 0
        if squared_shift <= least:
            break
    if not still:
        _assign(x, norms, c, own, upper, lower, sums, counts)
    total = 0.0
    for i in range(n):
        total += _squared(x, c, i, own[i])
    return total, iteration


@compiled
def _assign(
    x: np.ndarray, norms: np.ndarray, c: np.ndarray, own: np.ndarray, upper: np.ndarray,
    lower: np.ndarray, sums: np.ndarray, counts: np.ndarray,
) -> int:  # fmt: skip
    """The assignment step: how many images changed their cluster. Images that may change it are
    compared with all centroids by a matrix product, ROWS at a time."""
    n, (k, dim) = len(x), c.shape
    columns, squares = np.empty((dim, k)), np.zeros(k)
    for j in range(k):
        for d in range(dim):
            columns[d, j] = -2 * c[j, d]
            squares[j] += c[j, d] * c[j, d]
    far, moved, held = np.sqrt(squares.max()), 0, 0
    rows, image = np.empty((ROWS, dim)), np.empty(ROWS, np.int64)
    for i in range(n):
        if upper[i] >= lower[i] * SURE:
            image[held] = i
            for d in range(dim):
                rows[held, d] = x[i, d]
            held += 1
        if held < ROWS and (i + 1 < n or not held):
            continue
        scores = np.dot(rows[:held], columns)
        for row in range(held):
            at, low, second, new = image[row], np.inf, np.inf, 0
            for j in range(k):
                scores[row, j] += squares[j]
                low = min(low, scores[row, j])
            near = low + TIE * far * (norms[at] + far)
            while scores[row, new] > near:
                new += 1
            square = norms[at] * norms[at]
            upper[at] = np.sqrt(max(0.0, scores[row, new] + square))
            scores[row, new] = np.inf
            for j in range(k):
                second = min(second, scores[row, j])
            lower[at] = np.sqrt(max(0.0, second + square))
            old = own[at]
            if new != old:
                moved += 1
                own[at] = new
                _add(rows[row], 1, new, sums, counts)
                if old >= 0:
                    _add(rows[row], -1, old, sums, counts)
        held = 0
    return moved


@compiled
def _add(x: np.ndarray, sign: int, cluster: int, sums: np.ndarray, counts: np.ndarray) -> None:
    counts[cluster] += sign
    for d in range(len(x)):
        sums[cluster, d] += sign * x[d]


@compiled
def _update(
    x: np.ndarray, c: np.ndarray, own: np.ndarray, sums: np.ndarray, counts: np.ndarray,
    shift: np.ndarray,
) -> float:  # fmt: skip
    """The update step: each centroid moves to the mean of its images, rounded to float32. Writes
    how far each moved to `shift`, and returns the sum of the squares."""
    k, dim = c.shape
    if counts.min() == 0:
        sums, counts = sums.copy(), counts.copy()
        _relocate_empty_clusters(x, c, own, sums, counts)
    squared_shift = 0.0
    for j in range(k):
        square = 0.0
        if counts[j] > 0:
            for d in range(dim):
                mean = np.float64(np.float32(sums[j, d] / counts[j]))
                square += (mean - c[j, d]) ** 2
                c[j, d] = mean
        shift[j] = np.sqrt(square)
        squared_shift += square
    return squared_shift


@compiled
def _relocate_empty_clusters(
    x: np.ndarray, c: np.ndarray, own: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> None:
    """Give each empty cluster one of the images furthest from their centroids."""
    distance = np.empty(len(x), np.float32)
    for i in range(len(x)):
        distance[i] = _squared(x, c, i, own[i])
    empty = np.flatnonzero(counts == 0)
    order = np.argsort(-distance, kind="mergesort")[: len(empty)]
    if distance[order[0]] <= 0:
        return
    for image, name in zip(order, empty):  # noqa: B905  numba knows no strict
        counts[own[image]] -= 1
        counts[name] = 1
        for d in range(x.shape[1]):
            sums[own[image], d] -= x[image, d]
            sums[name, d] = x[image, d]


@compiled
def _two_largest(shift: np.ndarray) -> tuple[Any, float, Any]:
    """The largest shift, the second largest, and the cluster of the largest."""
    which, second = shift.argmax(), 0.0
    for j in range(len(shift)):
        if j != which:
            second = max(second, shift[j])
    return shift[which], second, which


@compiled
def _squared(x: np.ndarray, c: np.ndarray, image: int, cluster: int) -> float:
    total = 0.0
    for d in range(x.shape[1]):
        total += (x[image, d] - c[cluster, d]) ** 2
    return total
