"""Lloyd's passes over few, short vectors: a whole run in one compiled loop, a run a core.

Where vectors are few, the passes of lloyd.py take longer to begin than to do. What comes out is the
same, up to rounding: distances are float64 here, the nearest centroid and its ties as in choose.py,
images that cannot have moved are passed over as in bounds.py (Hamerly 2010), and empty clusters
move to the images furthest from their centroids as in refill.py.
"""

from collections.abc import Sequence

import numpy as np

from cluster.kernels.argmin_cpu import TIE
from cluster.kernels.jit import compiled
from cluster.kernels.threads import on_cores
from cluster.kmeans.api import Fit, keep, no_fit, require_k
from cluster.kmeans.init import start_centroids
from cluster.vectors.rows import Rows

VECTORS, CENTROIDS = 2**20, 2**13  # numbers in all vectors, and in the centroids of a run
ROWS = 512  # that are compared with the centroids at once
SURE = 1 - 1e-9  # a bound has to hold by more than rounding


def small_kmeans(
    rows: Rows, k: int, *, seeds: Sequence[int], n_init: int, max_iter: int, tol: float
) -> Fit:
    """k-means as cluster.kmeans.api.kmeans has it, for rows that `is_small` says are small."""
    require_k(k, len(rows))
    x, best = rows.block(0, len(rows)), no_fit(len(seeds), k, rows.dim)
    runs = [(seed, start) for seed in seeds for start in range(n_init)]
    seed_of = [seed for seed in range(len(seeds)) for _ in range(n_init)]
    starts = start_centroids(rows, k, runs, False, len(rows), "cpu")
    keep(best, seed_of, *small_lloyd(x, starts, max_iter, tol))
    return best


def is_small(rows: Rows, k: int) -> bool:
    """Whether vectors and centroids fit into a cache."""
    return len(rows) * rows.dim <= VECTORS and k * rows.dim <= CENTROIDS


def small_lloyd(
    x: np.ndarray, starts: np.ndarray, max_iter: int, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Iterate every run of `starts` (float32 [run, cluster, dim]) over x (float32 [image, dim]) to
    its own end, as cluster.kmeans.lloyd does: centroids (of the shape of starts), inertia (float64
    [run]) and iterations (int64 [run])."""
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
    """One run, in place of c (float64 [cluster, dim]): its inertia and iterations."""
    n, k, dim = len(x), len(c), x.shape[1]
    norms, own = np.zeros(n), np.full(n, -1)
    upper, lower = np.full(n, np.inf), np.zeros(n)
    for i in range(n):
        for d in range(dim):
            norms[i] += np.float64(x[i, d]) * x[i, d]
    norms = np.sqrt(norms)
    sums, counts, way = np.zeros((k, dim)), np.zeros(k, np.int64), np.zeros(k)
    iteration, still = 0, False
    while iteration < max_iter and not still:
        iteration += 1
        moved = _assign(x, norms, c, own, upper, lower, sums, counts)
        travel = _move(x, c, own, sums, counts, way)
        _widen(own, way, upper, lower)
        still = moved == 0 and travel == 0
        if travel <= least:
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
    """Each image goes to its nearest centroid: how many moved. Those that may move are compared
    with all centroids, ROWS at a time, by a product of matrices."""
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
def _move(
    x: np.ndarray, c: np.ndarray, own: np.ndarray, sums: np.ndarray, counts: np.ndarray,
    way: np.ndarray,
) -> float:  # fmt: skip
    """Each centroid goes to the mean of its images, as float32; how far each went is written to
    `way`, and the sum of the squares is returned."""
    k, dim = c.shape
    if counts.min() == 0:
        sums, counts = sums.copy(), counts.copy()
        _refill(x, c, own, sums, counts)
    travel = 0.0
    for j in range(k):
        square = 0.0
        if counts[j] > 0:
            for d in range(dim):
                mean = np.float64(np.float32(sums[j, d] / counts[j]))
                square += (mean - c[j, d]) ** 2
                c[j, d] = mean
        way[j] = np.sqrt(square)
        travel += square
    return travel


@compiled
def _refill(
    x: np.ndarray, c: np.ndarray, own: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> None:
    """Give each cluster without images one of those furthest from their centroids."""
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
def _widen(own: np.ndarray, way: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> None:
    """Bounds that hold after the centroids went so far."""
    first = way.argmax()
    most, other = way[first], 0.0
    for j in range(len(way)):
        if j != first:
            other = max(other, way[j])
    for i in range(len(own)):
        upper[i] += way[own[i]]
        lower[i] -= other if own[i] == first else most


@compiled
def _squared(x: np.ndarray, c: np.ndarray, image: int, cluster: int) -> float:
    total = 0.0
    for d in range(x.shape[1]):
        total += (x[image, d] - c[cluster, d]) ** 2
    return total
