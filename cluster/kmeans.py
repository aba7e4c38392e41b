"""k-means by Lloyd's algorithm (Lloyd 1982), all seeds and starts in one read of the data.

After scikit-learn's KMeans, and equal to it from the same start. But: batched over runs; read tile
by tile, so nothing has to fit in memory; sums in float64 over tiles; the cosine metric keeps
vectors and centroids at unit length (Dhillon and Modha 2001). Empty clusters move to the images
furthest from their centroids, as there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from cluster.assign import assign
from cluster.errors import ClusterError
from cluster.nearest import nearest_in_tile, targets
from cluster.refill import refill
from cluster.rows import Rows
from cluster.seeding import start_centroids
from cluster.sums import cluster_sums
from cluster.view import View

CELLS = 32_000_000  # numbers in the centroids of the runs that go together (256 MB of float64)


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
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k`, once a seed, each with `n_init` starts.

    A run stops when no image changes its cluster, when the centroids move by less than `tol` times
    the mean variance of the dims (as scikit-learn), or after `max_iter`. `init_images`: k-means++
    looks at that many images, drawn by seed, when there are more. `starts` (float32 [run, cluster,
    dim]) replaces k-means++; runs are then seed-major. `progress` is told the number of images that
    moved in each pass. Raises ClusterError when k is not in 1..images, or starts do not fit.
    """
    require_k(k, len(rows))
    if starts is not None:
        n_init = _require_starts(starts, k, rows.dim, len(seeds))
    view = View(rows, cosine, device)
    runs = [(seed, start) for seed in range(len(seeds)) for start in range(n_init)]
    best = no_fit(len(seeds), k, rows.dim)
    together = max(1, CELLS // (k * rows.dim))
    for low in range(0, len(runs), together):
        group = runs[low : low + together]
        if starts is None:
            named = [(seeds[seed], start) for seed, start in group]
            begin = start_centroids(rows, k, named, cosine, init_images, device)
        else:
            begin = starts[low : low + together]
        centroids, iterations = _lloyd(view, begin, max_iter, tol, progress)
        keep_best(best, [seed for seed, _ in group], rows, centroids, iterations, cosine, device)
    return best


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
    for run, seed in enumerate(seed_of):
        inertia = float(np.square(distance[run], dtype=np.float64).sum())
        if inertia < best.inertia[seed]:
            best.centroids[seed] = centroids[run]
            best.inertia[seed] = inertia
            best.iterations[seed] = iterations[run]


def _require_starts(starts: np.ndarray, k: int, dim: int, n_seeds: int) -> int:
    if starts.shape[1:] != (k, dim) or not len(starts) or len(starts) % n_seeds:
        raise ClusterError(
            f"starts are {list(starts.shape)}, [run, cluster, dim] of {k} clusters, {dim} dims and "
            f"the same number of runs for each of {n_seeds} seeds is needed"
        )
    return len(starts) // n_seeds


def _lloyd(
    view: View,
    starts: np.ndarray,
    max_iter: int,
    tol: float,
    progress: Callable[[int], object],
) -> tuple[np.ndarray, np.ndarray]:
    """Iterate every run to its own end; runs that are done leave the batch."""
    result = view.inside(starts)
    iterations = np.full(len(starts), max_iter, np.int64)
    active = np.arange(len(starts))
    assignment = np.full((len(starts), len(view)), -1, np.int32)
    for iteration in range(1, max_iter + 1):
        centroids = result[active]
        fresh, moved = _step(view, centroids, assignment, active)
        travel = (fresh - centroids).square().sum((1, 2), dtype=torch.float64).cpu().numpy()
        result[active] = fresh
        done = (moved == 0) | (travel <= tol * view.variance)
        iterations[active[done]] = iteration
        progress(int(moved.sum()))
        active = active[~done]
        if not len(active):
            break
    return view.outside(result), iterations


def _step(
    view: View, centroids: torch.Tensor, assignment: np.ndarray, active: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    """One read of the data. Writes each image's nearest of `centroids` (float32 [run, cluster,
    dim]) into the `active` rows of `assignment` (int32 [all runs, image]); returns the means of
    the clusters, and how many images changed theirs, int64 [run]."""
    runs, k, dim = centroids.shape
    to = targets(centroids)
    sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=centroids.device)
    counts = torch.zeros(runs * k, dtype=torch.int64, device=centroids.device)
    moved = np.zeros(runs, np.int64)
    for here, x in view.tiles():
        cluster = nearest_in_tile(x, view.norms[here], to)
        part, size = cluster_sums(x, cluster, k)
        sums += part
        counts += size
        found = cluster.T.cpu().numpy()
        moved += (assignment[active, here] != found).sum(1)
        assignment[active, here] = found
    sums, counts = sums.view(runs, k, dim), counts.view(runs, k)
    empty = torch.nonzero((counts == 0).any(1)).ravel()
    if len(empty):
        own = assignment[active[empty.cpu().numpy()]]
        refill(view, centroids[empty], own, empty.tolist(), sums, counts)
    means = (sums / counts.clamp(min=1)[..., None]).float()
    means = torch.where(counts[..., None] > 0, means, centroids)
    return view.means(means), moved
