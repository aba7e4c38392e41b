"""k-means by Lloyd's algorithm (Lloyd 1982), all seeds and starts in one read of the data.

After scikit-learn's KMeans, and equal to it from the same start. But: batched over runs; read tile
by tile, so the data need not fit in memory; sums in float64 over tiles; the cosine metric keeps
vectors and centroids at unit length (Dhillon and Modha 2001). Empty clusters are relocated to the
images furthest from their centroids, as there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int

from cluster.errors import ClusterError
from cluster.kmeans.assign import assign
from cluster.kmeans.engine import Engine, EngineFactory, local_engines
from cluster.kmeans.init import Run, start_centroids
from cluster.kmeans.lloyd import LloydResult, exact_inertia, lloyd
from cluster.vectors.rows import Rows

CELLS = 14_000_000  # numbers in the centroids of one batch of runs (112 MB of float64)
PLACES = 64_000_000  # images x runs in one batch: 12 bytes each


class Fit(NamedTuple):
    """Of each seed the start with the lowest inertia. inertia: sum of squared distances."""

    centroids: Float32[np.ndarray, "seed cluster dim"]
    inertia: Float64[np.ndarray, " seed"]
    iterations: Int[np.ndarray, " seed"]


def kmeans(
    rows: Rows,
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    max_iter: int,
    tol: float,
    cosine: bool = False,
    init_images: int = 100_000,
    starts: Float32[np.ndarray, "run cluster dim"] | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda moved: None,
    make_engine: EngineFactory | None = None,
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k`, once per seed, each with `n_init` starts.

    A run stops when no image changes its cluster, when the centroids move by less than `tol` times
    the mean variance of the dims (as in scikit-learn), or after `max_iter` iterations.
    `init_images`: with more images than that, k-means++ uses a sample of that size, drawn by seed.
    `starts` replaces k-means++; its runs are ordered by seed. `progress` is called after each
    iteration with the number of images that changed cluster. `make_engine`: makes
    engines over the same rows (engine.py), by default in this process. Raises ClusterError when k
    is not in 1..images, or `starts` has another shape.
    """
    require_k(k, len(rows))
    make_engine = make_engine or local_engines(rows, cosine, device)
    best = empty_fit(len(seeds), k, rows.dim)

    def draw(runs: Sequence[Run]) -> np.ndarray:
        return start_centroids(rows, k, runs, cosine, init_images, device)

    for seed_of, begin in batch_runs(seeds, n_init, k, (len(rows), rows.dim), draw, starts):
        engine = make_engine(len(begin), None)
        result = lloyd(engine, begin, max_iter, tol, progress)
        update_best(best, *best_per_seed(engine, result, seed_of))
        del engine, result  # free their memory before the next batch is allocated
    return best


def best_per_seed(
    engine: Engine, result: LloydResult, seed_of: Sequence[int]
) -> tuple[
    list[int],
    Float32[np.ndarray, "candidate cluster dim"],
    Float64[np.ndarray, " candidate"],
    Int[np.ndarray, " candidate"],
]:
    """The runs whose inertia may be the lowest of their seed: each one's position in the seeds, its
    centroids (in the original coordinates), its inertia recomputed from distances, and its
    iterations. seed_of: the position in the seeds of each run."""
    least = {seed: result.inertia[np.equal(seed_of, seed)].min() for seed in set(seed_of)}
    near = [
        result.inertia[run] <= least[seed] + 2 * result.inertia_error
        for run, seed in enumerate(seed_of)
    ]
    runs = np.flatnonzero(near)
    centroids = result.centroids[torch.from_numpy(runs)]
    inertia = exact_inertia(engine, runs, centroids)
    seeds = [seed_of[run] for run in runs.tolist()]
    original = engine.centering.inverse_transform(centroids)
    return seeds, original, inertia, result.iterations[runs]


def batch_runs(
    seeds: Sequence[int],
    n_init: int,
    k: int,
    shape: tuple[int, int],
    draw: Callable[[Sequence[Run]], np.ndarray],
    starts: Float32[np.ndarray, "run cluster dim"] | None,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Batches of runs that fit in memory: the position in `seeds` of each run, and its initial
    centroids, float32 [run, cluster, dim], from `draw` or `starts`. shape: images and dims."""
    n, dim = shape
    if starts is not None:
        n_init = _require_starts(starts, k, dim, len(seeds))
    runs = [(seed, start) for seed in range(len(seeds)) for start in range(n_init)]
    size = max(1, min(CELLS // (k * dim), PLACES // n))
    for low in range(0, len(runs), size):
        group = runs[low : low + size]
        begin = None if starts is None else starts[low : low + size]
        if begin is None:
            begin = draw([(seeds[seed], start) for seed, start in group])
        yield [seed for seed, _ in group], begin


def require_k(k: int, n: int) -> None:
    """Raise ClusterError unless n images can be divided into k clusters."""
    if not 1 <= k <= n:
        raise ClusterError(f"k is {k}, but there are {n} images to fit on: choose k from 1 to {n}")


def empty_fit(n_seeds: int, k: int, dim: int) -> Fit:
    """A fit of infinite inertia, to be replaced by the first run."""
    return Fit(
        np.zeros((n_seeds, k, dim), np.float32),
        np.full(n_seeds, np.inf),
        np.zeros(n_seeds, np.int32),
    )


def evaluate_and_update_best(
    best: Fit,
    seed_of: Sequence[int],
    rows: Rows,
    centroids: Float32[np.ndarray, "run cluster dim"],
    iterations: Int[np.ndarray, " run"],
    cosine: bool,
    device: str,
) -> None:
    """As update_best, with the inertia computed from all `rows`."""
    distance = assign(rows, centroids, unit=cosine, device=device).distance
    update_best(best, seed_of, centroids, inertia_of(distance), iterations)


def inertia_of(distance: Float32[np.ndarray, "run image"]) -> Float64[np.ndarray, " run"]:
    """The sum of squared distances of each run."""
    return np.array([np.square(own, dtype=np.float64).sum() for own in distance])


def update_best(
    best: Fit,
    seed_of: Sequence[int],
    centroids: Float32[np.ndarray, "run cluster dim"],
    inertia: Float64[np.ndarray, " run"],
    iterations: Int[np.ndarray, " run"],
) -> None:
    """Write into `best` the runs of lower inertia (`seed_of`: the position of each run's seed);
    of equal ones the first stays."""
    for run, seed in enumerate(seed_of):
        if inertia[run] < best.inertia[seed]:
            best.centroids[seed] = centroids[run]
            best.inertia[seed] = inertia[run]
            best.iterations[seed] = iterations[run]


def _require_starts(starts: np.ndarray, k: int, dim: int, n_seeds: int) -> int:
    if starts.shape[1:] != (k, dim) or not len(starts) or len(starts) % n_seeds:
        raise ClusterError(
            f"starts have the shape {list(starts.shape)}: expected [run, cluster, dim] of {k} "
            f"clusters, {dim} dims and the same number of runs for each of {n_seeds} seeds"
        )
    return len(starts) // n_seeds
