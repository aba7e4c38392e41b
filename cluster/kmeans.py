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

from cluster.assign import Nearest, assign, nearest_in_tile, tile_rows, to_tile
from cluster.errors import ClusterError
from cluster.rows import Rows
from cluster.seeding import start_centroids
from cluster.sums import cluster_sums


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
    moved. Raises ClusterError when k is not in 1..images.
    """
    require_k(k, len(rows))
    if starts is None:
        starts = start_centroids(rows, k, seeds, n_init, cosine, init_images, device)
    centroids, iterations = _lloyd(rows, starts, max_iter, tol, cosine, device, progress)
    final = assign(rows, centroids, unit=cosine, device=device)
    return best_starts(centroids, final, iterations, len(seeds))


def require_k(k: int, n: int) -> None:
    """Refuse a number of clusters that so many images cannot have."""
    if not 1 <= k <= n:
        raise ClusterError(f"k is {k}, but there are {n} images to fit on: choose k from 1 to {n}")


def best_starts(centroids: np.ndarray, final: Nearest, iterations: np.ndarray, n_seeds: int) -> Fit:
    """Of each seed's runs (seed-major on axis 0) the one of lowest inertia, the first at a tie."""
    inertia = np.square(final.distance, dtype=np.float64).sum(1).reshape(n_seeds, -1)
    best = inertia.argmin(1)
    at = np.arange(n_seeds) * inertia.shape[1] + best
    return Fit(centroids[at], inertia.reshape(-1)[at], iterations[at].astype(np.int32))


def _lloyd(
    rows: Rows,
    starts: np.ndarray,
    max_iter: int,
    tol: float,
    cosine: bool,
    device: str,
    progress: Callable[[int], object],
) -> tuple[np.ndarray, np.ndarray]:
    """Iterate every run to its own end; runs that are done leave the batch."""
    mean, variance = _moments(rows, cosine, device)
    shift = torch.zeros_like(mean) if cosine else mean
    squares = _squares(rows, shift, cosine, device)
    result = torch.as_tensor(starts, dtype=torch.float32, device=device) - shift
    iterations = np.full(len(starts), max_iter, np.int64)
    active = np.arange(len(starts))
    before = np.full((len(starts), len(rows)), -1, np.int32)
    for iteration in range(1, max_iter + 1):
        centroids = result[active]
        step = _step(rows, centroids, shift, squares, cosine, device)
        moved = (step.assignment != before[active]).sum(1)
        before[active] = step.assignment
        fresh = _means(step, centroids, rows, shift, cosine, device)
        travel = (fresh - centroids).square().sum((1, 2)).cpu().numpy()
        result[active] = fresh
        done = (moved == 0) | (travel <= tol * variance)
        iterations[active[done]] = iteration
        progress(int(moved.sum()))
        active = active[~done]
        if not len(active):
            break
    return (result + shift).cpu().numpy(), iterations


class _Step(NamedTuple):
    assignment: np.ndarray  # int32 [run, image]
    distance: np.ndarray  # squared, float32 [run, image]
    sums: torch.Tensor  # float64 [run, cluster, dim]
    counts: torch.Tensor  # int64 [run, cluster]


def _step(
    rows: Rows,
    centroids: torch.Tensor,
    shift: torch.Tensor,
    squares: np.ndarray,
    cosine: bool,
    device: str,
) -> _Step:
    """One read of the data: every image's nearest centroid, and each cluster's sum and size."""
    runs, k, dim = centroids.shape
    norms = centroids.square().sum(2)
    sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=device)
    counts = torch.zeros(runs * k, dtype=torch.int64, device=device)
    assignment = np.empty((runs, len(rows)), np.int32)
    distance = np.empty((runs, len(rows)), np.float32)
    step = tile_rows(runs * k)
    for start in range(0, len(rows), step):
        stop = min(start + step, len(rows))
        x = to_tile(rows.block(start, stop), device, cosine) - shift
        cluster, value = nearest_in_tile(x, centroids, norms)
        part, size = cluster_sums(x, cluster, k)
        sums += part
        counts += size
        assignment[:, start:stop] = cluster.T.cpu().numpy()
        distance[:, start:stop] = value.T.cpu().numpy()
    distance += squares
    return _Step(assignment, distance, sums.view(runs, k, dim), counts.view(runs, k))


def _means(
    step: _Step,
    centroids: torch.Tensor,
    rows: Rows,
    shift: torch.Tensor,
    cosine: bool,
    device: str,
) -> torch.Tensor:
    """The new centroids [run, cluster, dim]; an empty cluster takes the furthest image."""
    for run in torch.nonzero((step.counts == 0).any(1)).ravel().tolist():
        _refill(step, run, rows, shift, cosine, device)
    counts = step.counts.clamp(min=1)[..., None]
    means = torch.where(step.counts[..., None] > 0, (step.sums / counts).float(), centroids)
    return torch.nn.functional.normalize(means, dim=2) if cosine else means


def _refill(
    step: _Step, run: int, rows: Rows, shift: torch.Tensor, cosine: bool, device: str
) -> None:
    empty = torch.nonzero(step.counts[run] == 0).ravel()
    furthest = np.argsort(-step.distance[run], kind="stable")[: len(empty)]
    x = (to_tile(rows.take(furthest), device, cosine) - shift).double()
    for target, image, vector in zip(empty.tolist(), furthest.tolist(), x, strict=True):
        source = int(step.assignment[run, image])
        step.sums[run, source] -= vector
        step.counts[run, source] -= 1
        step.sums[run, target] = vector
        step.counts[run, target] = 1


def _squares(rows: Rows, shift: torch.Tensor, cosine: bool, device: str) -> np.ndarray:
    """|x - shift|² of every row, float32 [image]: the part of a distance that never changes."""
    out = np.empty(len(rows), np.float32)
    step = tile_rows(1)
    for start in range(0, len(rows), step):
        stop = min(start + step, len(rows))
        x = to_tile(rows.block(start, stop), device, cosine) - shift
        out[start:stop] = x.square().sum(1).cpu().numpy()
    return out


def _moments(rows: Rows, cosine: bool, device: str) -> tuple[torch.Tensor, float]:
    """Mean of the rows, float32 [dim], and the mean over dims of their variance."""
    total = torch.zeros(rows.dim, dtype=torch.float64, device=device)
    square = torch.zeros(rows.dim, dtype=torch.float64, device=device)
    step = tile_rows(1)
    for start in range(0, len(rows), step):
        x = to_tile(rows.block(start, min(start + step, len(rows))), device, cosine).double()
        total += x.sum(0)
        square += x.square().sum(0)
    mean = total / len(rows)
    variance = (square / len(rows) - mean.square()).clamp(min=0).mean()
    return mean.float(), float(variance)
