"""Passes of semi-supervised k-means that keep clusters from growing too large.

After SelEx (Rastegar et al., ECCV 2024, arXiv:2408.14371). In pass i, counted from 0, i rounds
follow the assignment: each cluster keeps its labelled images and as many of the closest others as
make `size`, and each image that it frees goes to the nearest cluster that is not full. The
centroids of known classes stay where they start; only new ones move. After 10 such passes comes
plain semi-supervised k-means, in which sizes are free again (sskmeans.py).
But: written afresh; an image is freed by its distance, then by its place among the images; passes
and their end are compared by one inertia, that of images in their nearest cluster.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kernels.norms import distances
from cluster.kmeans.assign import assign_tiles
from cluster.kmeans.chunk import Part
from cluster.kmeans.data import View
from cluster.kmeans.engine import LocalParts, local_parts
from cluster.kmeans.lloyd import means_of
from cluster.kmeans.nearest import nearest_in_tile, targets
from cluster.vectors.rows import TILE

PASSES = 10  # as published


class Lowest(NamedTuple):
    """Of the balanced passes of each run that with the lowest inertia. centroids: float32 [run,
    cluster, dim]; inertia: float64 [run]; iterations: int64 [run], how many passes led there;
    passes: how many there were."""

    centroids: np.ndarray
    inertia: np.ndarray
    iterations: np.ndarray
    passes: int


def even_size(n: int, k: int) -> int:
    """Images that each of k clusters has at most when all have about the same number: ⌈n / k⌉."""
    return -(-n // k)


def require_size(size: int | None, n: int, k: int) -> None:
    """Refuse clusters that are too small for the images."""
    if size is not None and size * k < n:
        raise ClusterError(
            f"{k} clusters of at most {size} images are too small for {n}: "
            f"allow {even_size(n, k)} a cluster"
        )


def balanced(
    view: View,
    starts: np.ndarray,
    label: np.ndarray,
    old: int,
    size: int,
    progress: Callable[[int], object],
) -> tuple[np.ndarray, Lowest]:
    """The balanced passes of all runs from `starts` (float32 [run, cluster, dim]): the centroids
    after the last one, and the best on the way. `progress` is told the number of images that each
    pass put elsewhere than nearest. label: int64 [image], cluster below `old` or -1."""
    centroids = view.frame.inside(starts, view.device)
    parts = local_parts(view, len(centroids), label)
    each = np.arange(len(centroids))
    best, lowest = centroids.clone(), np.full(len(each), np.inf)
    iterations = np.zeros(len(each), np.int64)
    for done in range(PASSES):
        assignment, distance = assign_tiles(view.tiles(), len(view), centroids, label)
        freed = 0
        for run in each:
            inertia = float(np.square(distance[run], dtype=np.float64).sum())
            if inertia < lowest[run]:
                best[run], lowest[run], iterations[run] = centroids[run], inertia, done
            freed += even_out(
                view, centroids[run], assignment[run], distance[run], label, size, rounds=done
            )
        fresh = _means(parts, centroids, assignment)
        centroids = torch.cat([centroids[:, :old], fresh[:, old:]], dim=1)
        progress(freed)
    outside = view.frame.outside
    return outside(centroids), Lowest(outside(best), lowest, iterations, PASSES)


def _means(parts: LocalParts, centroids: torch.Tensor, assignment: np.ndarray) -> torch.Tensor:
    """The means of the clusters of `assignment` (int32 [run, image]), that came of `centroids`
    (float32 [run, cluster, dim])."""
    runs, k, dim = centroids.shape
    sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=centroids.device)
    counts = torch.zeros(runs * k, dtype=torch.int64, device=centroids.device)
    for part in parts.map(Part.put, torch.from_numpy(assignment), k):
        sums[part.group] += part.sums
        counts[part.group] += part.size
    own = zip(sums.view(runs, k, dim), counts.view(runs, k), strict=True)
    return torch.stack(
        [means_of(parts, run, centroids[run], *each) for run, each in enumerate(own)]
    )


def even_out(
    view: View,
    centroids: torch.Tensor,
    assignment: np.ndarray,
    distance: np.ndarray,
    label: np.ndarray,
    size: int,
    *,
    rounds: int,
) -> int:
    """Free images of clusters that are too large, `rounds` times or until none is; in place.

    centroids: float32 [cluster, dim]; assignment: int32 [image]; distance: float32 [image], to the
    own centroid. Returns how often an image moved.
    """
    k, moved = len(centroids), 0
    for _ in range(rounds):
        freed = surplus(assignment, distance, label, k, size)
        if not len(freed):
            break
        kept = np.bincount(assignment, minlength=k) - np.bincount(assignment[freed], minlength=k)
        open_ = np.flatnonzero(kept < size)
        among = centroids[torch.from_numpy(open_).to(centroids.device)]
        to = targets(among[None])
        for start in range(0, len(freed), TILE):
            part = freed[start : start + TILE]
            x = view.take(part)
            found = nearest_in_tile(x, x.norm(dim=1), to)[:, 0]
            assignment[part] = open_[found.cpu().numpy()]
            distance[part] = distances(x, among, found).cpu().numpy()
        moved += len(freed)
    return moved


def surplus(
    assignment: np.ndarray, distance: np.ndarray, label: np.ndarray, k: int, size: int
) -> np.ndarray:
    """The images that their clusters have no room for, int64 [freed], rising. Labelled ones stay,
    then the closest; of equally close ones the first."""
    room = size - np.bincount(assignment[label >= 0], minlength=k)
    full = np.bincount(assignment, minlength=k) > size
    image = np.flatnonzero(full[assignment] & (label < 0))
    order = np.lexsort((distance[image], assignment[image]))  # stable
    cluster = assignment[image[order]]
    rank = np.arange(len(cluster)) - np.searchsorted(cluster, cluster)
    return np.sort(image[order[rank >= room[cluster]]])
