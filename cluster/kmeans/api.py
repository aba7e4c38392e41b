"""k-means by Lloyd's algorithm (Lloyd 1982), all seeds and starts in one read of the data.

After scikit-learn's KMeans, and equal to it from the same start. But: batched over runs; read tile
by tile, so nothing has to fit in memory; sums in float64 over tiles; the cosine metric keeps
vectors and centroids at unit length (Dhillon and Modha 2001). Empty clusters move to the images
furthest from their centroids, as there.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kmeans.assign import assign
from cluster.kmeans.engine import Engine, Parts, here
from cluster.kmeans.init import Run, start_centroids
from cluster.kmeans.lloyd import Ends, exact_inertia, lloyd
from cluster.vectors.rows import Rows

CELLS = 14_000_000  # numbers in the centroids of the runs that go together (112 MB of float64)
PLACES = 64_000_000  # images x runs that go together: 12 bytes each


class Fit(NamedTuple):
    """centroids: float32 [seed, cluster, dim]; inertia: float64 [seed], sum of squared distances;
    iterations: int32 [seed]. Of the starts of a seed, the one of lowest inertia."""

    centroids: np.ndarray
    inertia: np.ndarray
    iterations: np.ndarray


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
    starts: np.ndarray | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda moved: None,
    engine: Engine | None = None,
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k`, once a seed, each with `n_init` starts.

    A run stops when no image changes its cluster, when the centroids move by less than `tol` times
    the mean variance of the dims (as scikit-learn), or after `max_iter`. `init_images`: k-means++
    looks at that many images, drawn by seed, when there are more. `starts` (float32 [run, cluster,
    dim]) replaces k-means++; runs are then seed-major. `progress` is told the number of images that
    moved in each pass. `engine`: who holds the same rows in parts, if not this process. Raises
    ClusterError when k is not in 1..images, or starts do not fit.
    """
    require_k(k, len(rows))
    engine, best = engine or here(rows, cosine, device), no_fit(len(seeds), k, rows.dim)

    def draw(runs: Sequence[Run]) -> np.ndarray:
        return start_centroids(rows, k, runs, cosine, init_images, device)

    for seed_of, begin in together(seeds, n_init, k, (len(rows), rows.dim), draw, starts):
        parts = engine(len(begin), None)
        ends = lloyd(parts, begin, max_iter, tol, progress)
        keep(best, *lowest(parts, ends, seed_of))
        del parts, ends  # before the next ones are made
    return best


def lowest(
    parts: Parts, ends: Ends, seed_of: Sequence[int]
) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    """The runs that may be the lowest of their seed: its position in the seeds, centroids (float32
    [run, cluster, dim], outside of the frame), inertia (float64 [run], of distances now) and
    iterations of each."""
    least = {seed: ends.inertia[np.equal(seed_of, seed)].min() for seed in set(seed_of)}
    near = [ends.inertia[run] <= least[seed] + 2 * ends.off for run, seed in enumerate(seed_of)]
    runs = np.flatnonzero(near)
    centroids = ends.centroids[torch.from_numpy(runs)]
    inertia = exact_inertia(parts, runs, centroids)
    seeds = [seed_of[run] for run in runs.tolist()]
    return seeds, parts.frame.outside(centroids), inertia, ends.iterations[runs]


def together(
    seeds: Sequence[int],
    n_init: int,
    k: int,
    shape: tuple[int, int],
    draw: Callable[[Sequence[Run]], np.ndarray],
    starts: np.ndarray | None,
) -> Iterator[tuple[list[int], np.ndarray]]:
    """The runs in groups that memory has room for: each run's position in `seeds`, and where it
    starts, float32 [run, cluster, dim], drawn or out of `starts`. shape: images and dims."""
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
    """Refuse a number of clusters that so many images cannot have."""
    if not 1 <= k <= n:
        raise ClusterError(f"k is {k}, but there are {n} images to fit on: choose k from 1 to {n}")


def no_fit(n_seeds: int, k: int, dim: int) -> Fit:
    """What every run is better than."""
    return Fit(
        np.zeros((n_seeds, k, dim), np.float32),
        np.full(n_seeds, np.inf),
        np.zeros(n_seeds, np.int32),
    )


def keep_best(
    best: Fit,
    seed_of: Sequence[int],
    rows: Rows,
    centroids: np.ndarray,
    iterations: np.ndarray,
    cosine: bool,
    device: str,
) -> None:
    """Write into `best` the runs of lower inertia (`seed_of`: each run's position in it); of equal
    ones the first stays."""
    distance = assign(rows, centroids, unit=cosine, device=device).distance
    keep(best, seed_of, centroids, inertia_of(distance), iterations)


def inertia_of(distance: np.ndarray) -> np.ndarray:
    """The sum of squares of the distances [run, image] of each run, float64 [run]."""
    return np.array([np.square(own, dtype=np.float64).sum() for own in distance])


def keep(
    best: Fit,
    seed_of: Sequence[int],
    centroids: np.ndarray,
    inertia: np.ndarray,
    iterations: np.ndarray,
) -> None:
    """The same for runs whose inertia (float64 [run]) is known."""
    for run, seed in enumerate(seed_of):
        if inertia[run] < best.inertia[seed]:
            best.centroids[seed] = centroids[run]
            best.inertia[seed] = inertia[run]
            best.iterations[seed] = iterations[run]


def _require_starts(starts: np.ndarray, k: int, dim: int, n_seeds: int) -> int:
    if starts.shape[1:] != (k, dim) or not len(starts) or len(starts) % n_seeds:
        raise ClusterError(
            f"starts are {list(starts.shape)}, [run, cluster, dim] of {k} clusters, {dim} dims and "
            f"the same number of runs for each of {n_seeds} seeds is needed"
        )
    return len(starts) // n_seeds
