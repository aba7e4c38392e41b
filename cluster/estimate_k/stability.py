"""Stability of a clustering between halves of the images.

After Lange, Roth, Braun and Buhmann (Neural Computation 2004) and Tibshirani and Walther (2005).
But: the centroids of both halves assign all images, and the two assignments are compared by the
adjusted Rand index instead of a matching. The stability between seeds is
cluster.metrics.clustering.stability.
"""

from collections.abc import Callable, Sequence

import numpy as np

from cluster.errors import ClusterError
from cluster.kmeans.api import Fit
from cluster.kmeans.assign import assign
from cluster.metrics.clustering import stability
from cluster.vectors.rows import Rows, Subset


def between_halves(
    rows: Rows,
    fit: Callable[[Rows, Sequence[int]], Fit],
    seeds: Sequence[int],
    device: str = "cpu",
) -> np.ndarray:
    """The agreement of two fits on disjoint halves of `rows`, drawn by seed: ARI, float64 [seed].

    fit: k-means of rows, once per seed. Raises ClusterError with fewer than 2 images.
    """
    n = len(rows)
    if n < 2:
        raise ClusterError(f"{n} images have no two halves: at least 2 are needed")
    out = np.empty(len(seeds))
    for at, seed in enumerate(seeds):
        order = np.random.default_rng([seed, n, 2]).permutation(n)
        halves = [Subset(rows, np.sort(own)) for own in (order[: n // 2], order[n // 2 :])]
        centroids = np.concatenate([fit(half, [seed]).centroids for half in halves])
        out[at] = stability(assign(rows, centroids, device=device).assignment)[0]
    return out
