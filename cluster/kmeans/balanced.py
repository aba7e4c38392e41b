"""Balanced passes of semi-supervised k-means, which limit the size of clusters.

After SelEx (Rastegar et al., ECCV 2024, arXiv:2408.14371). Pass i, counted from 0, ends with i
rounds of balancing: each cluster keeps its labelled images and the closest others up to `size`;
each surplus image goes to the nearest cluster that is not full. The centroids of known classes stay
where they start; only new ones move. After 10 such passes comes plain semi-supervised k-means, in
which sizes are free again (semi_supervised.py).
But: written afresh; surplus images are chosen by distance, then by their row; passes and their
result are compared by one inertia, that of images in their nearest cluster.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int, Int32, Int64

from cluster.errors import ClusterError
from cluster.kernels.norms import distances
from cluster.kmeans.assign import assign_tiles
from cluster.kmeans.chunk import ChunkState
from cluster.kmeans.data import Data
from cluster.kmeans.engine import LocalEngine, local_engine
from cluster.kmeans.lloyd import means_of
from cluster.kmeans.nearest import nearest_in_tile, prepare_centroids
from cluster.vectors.rows import TILE

PASSES = 10  # as published


class BestPass(NamedTuple):
    """Of the balanced passes of each run the one with the lowest inertia. iterations: how many
    passes led there; passes: how many there were."""

    centroids: Float32[np.ndarray, "run cluster dim"]
    inertia: Float64[np.ndarray, " run"]
    iterations: Int64[np.ndarray, " run"]
    passes: int


def even_size(n: int, k: int) -> int:
    """The largest cluster when n images are divided evenly among k clusters: ⌈n / k⌉."""
    return -(-n // k)


def require_size(size: int | None, n: int, k: int) -> None:
    """Raise ClusterError if k clusters of at most `size` images cannot hold n images."""
    if size is not None and size * k < n:
        raise ClusterError(
            f"{k} clusters of at most {size} images are too small for {n}: "
            f"allow {even_size(n, k)} a cluster"
        )


def balanced_passes(
    data: Data,
    starts: Float32[np.ndarray, "run cluster dim"],
    label: Int[np.ndarray, " image"],
    old: int,
    size: int,
    progress: Callable[[int], object],
) -> tuple[Float32[np.ndarray, "run cluster dim"], BestPass]:
    """Run the balanced passes of all runs from `starts`: the centroids after the last pass, and
    the best pass. label: a cluster below `old`, or -1. `progress` is called after each pass with
    the number of images that are not in their nearest cluster."""
    centroids = data.centering.transform(starts, data.device)
    engine = local_engine(data, len(centroids), label)
    runs = np.arange(len(centroids))
    best, lowest = centroids.clone(), np.full(len(runs), np.inf)
    iterations = np.zeros(len(runs), np.int64)
    for done in range(PASSES):
        assignment, distance = assign_tiles(data.tiles(), len(data), centroids, label)
        moved = 0
        for run in runs:
            inertia = float(np.square(distance[run], dtype=np.float64).sum())
            if inertia < lowest[run]:
                best[run], lowest[run], iterations[run] = centroids[run], inertia, done
            moved += reassign_surplus(
                data, centroids[run], assignment[run], distance[run], label, size, rounds=done
            )
        fresh = _means(engine, centroids, assignment)
        centroids = torch.cat([centroids[:, :old], fresh[:, old:]], dim=1)
        progress(moved)
    original = data.centering.inverse_transform
    return original(centroids), BestPass(original(best), lowest, iterations, PASSES)


def _means(
    engine: LocalEngine,
    centroids: Float32[torch.Tensor, "run cluster dim"],
    assignment: Int32[np.ndarray, "run image"],
) -> Float32[torch.Tensor, "run cluster dim"]:
    """The means of the clusters of `assignment`, which was made by `centroids`."""
    runs, k, dim = centroids.shape
    sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=centroids.device)
    counts = torch.zeros(runs * k, dtype=torch.int64, device=centroids.device)
    for found in engine.map(ChunkState.set_assignment, torch.from_numpy(assignment), k):
        sums[found.group] += found.sums
        counts[found.group] += found.size
    each = zip(sums.view(runs, k, dim), counts.view(runs, k), strict=True)
    return torch.stack(
        [means_of(engine, run, centroids[run], *own) for run, own in enumerate(each)]
    )


def reassign_surplus(
    data: Data,
    centroids: Float32[torch.Tensor, "cluster dim"],
    assignment: Int32[np.ndarray, " image"],
    distance: Float32[np.ndarray, " image"],
    label: Int[np.ndarray, " image"],
    size: int,
    *,
    rounds: int,
) -> int:
    """Move the surplus images of clusters that are too large to others, `rounds` times or until
    none is too large; in place. distance: to the centroid of the assigned cluster. Returns the
    number of moves."""
    k, moved = len(centroids), 0
    for _ in range(rounds):
        freed = surplus(assignment, distance, label, k, size)
        if not len(freed):
            break
        kept = np.bincount(assignment, minlength=k) - np.bincount(assignment[freed], minlength=k)
        open_ = np.flatnonzero(kept < size)
        among = centroids[torch.from_numpy(open_).to(centroids.device)]
        to = prepare_centroids(among[None])
        for start in range(0, len(freed), TILE):
            some = freed[start : start + TILE]
            x = data.take(some)
            found = nearest_in_tile(x, x.norm(dim=1), to)[:, 0]
            assignment[some] = open_[found.cpu().numpy()]
            distance[some] = distances(x, among, found).cpu().numpy()
        moved += len(freed)
    return moved


def surplus(
    assignment: Int[np.ndarray, " image"],
    distance: Float32[np.ndarray, " image"],
    label: Int[np.ndarray, " image"],
    k: int,
    size: int,
) -> Int64[np.ndarray, " surplus"]:
    """The images beyond `size` of each cluster, sorted. A cluster keeps its labelled images first,
    then the closest; of equally close ones the first."""
    places = size - np.bincount(assignment[label >= 0], minlength=k)
    full = np.bincount(assignment, minlength=k) > size
    image = np.flatnonzero(full[assignment] & (label < 0))
    order = np.lexsort((distance[image], assignment[image]))  # stable
    cluster = assignment[image[order]]
    rank = np.arange(len(cluster)) - np.searchsorted(cluster, cluster)
    return np.sort(image[order[rank >= places[cluster]]])
