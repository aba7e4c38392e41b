"""The nearest centroid of each vector, for several sets of centroids in one read."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32, Int64

from cluster.kernels.norms import distances
from cluster.kmeans.nearest import PreparedCentroids, nearest_in_tile, prepare_centroids
from cluster.vectors.device import rows_on_gpu
from cluster.vectors.rows import TILE, Rows
from cluster.vectors.tiles import tiles


class Nearest(NamedTuple):
    """distance: Euclidean, to the centroid of the assigned cluster."""

    assignment: Int32[np.ndarray, "seed image"]
    distance: Float32[np.ndarray, "seed image"]


def assign(
    rows: Rows,
    centroids: Float[np.ndarray, "seed cluster dim"],
    *,
    unit: bool = False,
    label: Int[np.ndarray, " image"] | None = None,
    device: str = "cpu",
) -> Nearest:
    """The nearest of `centroids` (taken as float32) for all rows; ties: the lower cluster.

    `unit`: rows are first scaled to length 1 (the cosine metric). `label`: the cluster to which an
    image is pinned whatever is nearest, -1 where it is free. Distances are computed by differences,
    hence exact near 0.
    """
    c = torch.as_tensor(centroids, dtype=torch.float32, device=device)
    size = rows_on_gpu(rows.dim) if c.is_cuda else TILE
    return assign_tiles(tiles(rows, device, unit=unit, size=size), len(rows), c, label)


def assign_tiles(
    tiles: Iterable[tuple[slice, torch.Tensor]],
    n: int,
    centroids: Float32[torch.Tensor, "seed cluster dim"],
    label: Int[np.ndarray, " image"] | None,
) -> Nearest:
    """As assign, of `n` rows that come as tiles, in the coordinates of the centroids."""
    to = prepare_centroids(centroids)
    pinned = None if label is None else torch.as_tensor(label, device=centroids.device)
    out = Nearest(
        np.empty((len(centroids), n), np.int32), np.empty((len(centroids), n), np.float32)
    )
    for here, x in tiles:
        own = None if pinned is None else pinned[here]
        cluster = nearest_or_pinned(x, x.norm(dim=1), to, own)
        out.assignment[:, here] = cluster.T.cpu().numpy()
        for seed, each in enumerate(centroids):
            out.distance[seed, here] = distances(x, each, cluster[:, seed]).cpu().numpy()
    return out


def nearest_or_pinned(
    x: Float32[torch.Tensor, "image dim"],
    norms: Float32[torch.Tensor, " image"],
    to: PreparedCentroids,
    label: Int[torch.Tensor, " image"] | None,
) -> Int64[torch.Tensor, "image run"]:
    """The nearest cluster of each run, or `label` where that is not -1."""
    if label is None:
        return nearest_in_tile(x, norms, to)
    free = label < 0
    cluster = label[:, None].repeat(1, len(to.longest))
    cluster[free] = nearest_in_tile(x[free], norms[free], to)
    return cluster
