"""The nearest centroid of each vector, for several sets of centroids in one read."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.norms import distances
from cluster.kmeans.nearest import Targets, nearest_in_tile, targets
from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles


class Nearest(NamedTuple):
    """assignment: int32 [seed, image]; distance: float32 [seed, image], Euclidean, to the own
    centroid."""

    assignment: np.ndarray
    distance: np.ndarray


def assign(
    rows: Rows,
    centroids: np.ndarray,
    *,
    unit: bool = False,
    label: np.ndarray | None = None,
    device: str = "cpu",
) -> Nearest:
    """Nearest of `centroids` (float32 [seed, cluster, dim]) for all rows; `unit`: rows are scaled
    to length 1 first (the cosine metric). Ties: the lower cluster. Distances are taken by
    differences: exact near 0. `label`: int64 [image], the cluster that an image is pinned to
    whatever is nearest, -1 where it is free.
    """
    c = torch.as_tensor(centroids, dtype=torch.float32, device=device)
    return assign_tiles(tiles(rows, device, unit=unit), len(rows), c, label)


def assign_tiles(
    parts: Iterable[tuple[slice, torch.Tensor]],
    n: int,
    centroids: torch.Tensor,
    label: np.ndarray | None,
) -> Nearest:
    """The same for `n` rows that come as tiles, and centroids that lie among them."""
    to = targets(centroids)
    pinned = None if label is None else torch.as_tensor(label, device=centroids.device)
    out = Nearest(
        np.empty((len(centroids), n), np.int32), np.empty((len(centroids), n), np.float32)
    )
    for here, x in parts:
        own = None if pinned is None else pinned[here]
        cluster = nearest_or_pinned(x, x.norm(dim=1), to, own)
        out.assignment[:, here] = cluster.T.cpu().numpy()
        for seed, each in enumerate(centroids):
            out.distance[seed, here] = distances(x, each, cluster[:, seed]).cpu().numpy()
    return out


def nearest_or_pinned(
    x: torch.Tensor, norms: torch.Tensor, to: Targets, label: torch.Tensor | None
) -> torch.Tensor:
    """x float32 [image, dim] and its norms → the nearest cluster of each run, int64 [image, run];
    where `label` (int64 [image]) is not -1, that."""
    if label is None:
        return nearest_in_tile(x, norms, to)
    free = label < 0
    cluster = label[:, None].repeat(1, len(to.longest))
    cluster[free] = nearest_in_tile(x[free], norms[free], to)
    return cluster
