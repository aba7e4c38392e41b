"""The nearest centroid of each vector, for several sets of centroids in one read."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.nearest import nearest_in_tile, targets
from cluster.rows import Rows
from cluster.tiles import tiles

PART = 1024  # rows whose differences stay in the processor's cache


class Nearest(NamedTuple):
    """assignment: int32 [seed, image]; distance: float32 [seed, image], Euclidean, to the own
    centroid."""

    assignment: np.ndarray
    distance: np.ndarray


def assign(
    rows: Rows, centroids: np.ndarray, *, unit: bool = False, device: str = "cpu"
) -> Nearest:
    """Nearest of `centroids` (float32 [seed, cluster, dim]) for all rows; `unit`: rows are scaled
    to length 1 first (the cosine metric). Ties: the lower cluster. Distances are taken by
    differences: exact near 0.
    """
    c = torch.as_tensor(centroids, dtype=torch.float32, device=device)
    to = targets(c)
    shape = (len(c), len(rows))
    out = Nearest(np.empty(shape, np.int32), np.empty(shape, np.float32))
    for here, x in tiles(rows, device, unit=unit):
        cluster = nearest_in_tile(x, x.norm(dim=1), to)
        out.assignment[:, here] = cluster.T.cpu().numpy()
        for seed in range(len(c)):
            parts = zip(x.split(PART), cluster[:, seed].split(PART), strict=True)
            distance = torch.cat([c[seed, own].sub_(part).norm(dim=1) for part, own in parts])
            out.distance[seed, here] = distance.cpu().numpy()
    return out
