"""Nine starts for the ascent of the edge information, each of which is the best somewhere.

With V the leading eigenvectors of D^-1/2 W D^-1/2 (cluster.spectral) and w their eigenvalues, rows
at length 1 after they are scaled: k-means on the first k, as spectral clustering; on k + 3; on all,
scaled by w^8 and by w^4, which is a random walk of so many steps; clusters of equal weight
(balanced_start.py); k-means to 3k and to 6k clusters, a short ascent, and greedy merges to k
(merges.py); and twice k-means on the leading principal components of the vectors, which knows
nothing of the graph.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cluster.block_model.ascent import ascend
from cluster.block_model.balanced_start import balanced_clusters
from cluster.block_model.information import cluster_weights
from cluster.block_model.merges import merge
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.small import is_small, small_kmeans
from cluster.spectral.spectral import Leading, unit_rows
from cluster.vectors.rows import ArrayRows, Rows, Subset

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MORE = 3  # eigenvectors beyond k
POWERS = (8, 4)
FINER = (3, 6)  # times k clusters
SWEEPS = 15  # of the ascent of these, at most
PLAIN = 2  # starts on the vectors themselves
EVERY = 30  # eigenvectors where k asks for fewer
DIMS = 64  # leading principal components of the vectors

Start = Callable[[], np.ndarray]  # int32 [image]


class Source(NamedTuple):
    """What starts are made of. graph: float64 csr [image, image]; leading: its eigenvectors, of
    cluster.spectral; vectors: the leading principal components of the images; copies: int [image],
    how many each stands for, or None."""

    graph: "csr_array"
    leading: Leading
    vectors: Rows
    copies: np.ndarray | None = None


def eigenvectors_for(k: int, most: int) -> int:
    """How many of `most` eigenvectors the starts of k clusters use."""
    return min(most, max(EVERY, k + MORE))


def starts(
    source: Source, k: int, *, seed: int, lag: int, sweeps: int, n_init: int, max_iter: int,
    tol: float, most: int, device: str = "cpu",
) -> list[Start]:  # fmt: skip
    """The nine, each to be computed when it is called; fewer where 3k clusters are no fewer than
    the images. `sweeps`: of any ascent, at most; `most`: as of eigenvectors_for; the others: of
    cluster.kmeans.api."""
    images, copies = len(source.leading.vectors), source.copies
    repeated = None if copies is None else np.repeat(np.arange(images), copies)
    m = eigenvectors_for(k, most)
    vectors = source.leading.vectors[:, :m]
    walked = np.clip(1 - source.leading.eigenvalues[:m], 0, 1)

    def cluster(x: Rows, k: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The clusters and the centroids of k-means, with a seed of its own for each number."""
        every = x if repeated is None else Subset(x, repeated)
        own = int(np.random.default_rng([seed, number]).integers(2**31))
        settings: dict[str, Any] = {
            "seeds": [own],
            "n_init": n_init,
            "max_iter": max_iter,
            "tol": tol,
        }
        small = is_small(every, k)
        fit = (
            small_kmeans(every, k, **settings)
            if small
            else kmeans(every, k, **settings, device=device)
        )
        return assign(x, fit.centroids, device=device).assignment[0], fit.centroids[0]

    def of_vectors(m: int, number: int, scale: np.ndarray | None = None) -> np.ndarray:
        return cluster(ArrayRows(unit_rows(vectors[:, :m], scale)), k, number)[0]

    def balanced() -> np.ndarray:
        first = ArrayRows(unit_rows(vectors[:, :k]))
        return balanced_clusters(first.array, cluster(first, k, 0)[1], copies)

    def merged(fine: int, number: int) -> np.ndarray:
        begin = cluster(ArrayRows(unit_rows(vectors)), fine, number)[0]
        found = ascend(source.graph, begin, fine, lag=lag, seed=seed, sweeps=min(SWEEPS, sweeps))
        reached = cluster_weights(source.graph, found.assignment, fine, lag=lag)
        return merge(reached.weight, k)[found.assignment]

    finer = [min(times * k, images) for times in FINER]
    return [
        lambda: of_vectors(k, 0),
        lambda: of_vectors(k + MORE, 1),
        *(partial(of_vectors, m, 2 + i, walked**power) for i, power in enumerate(POWERS)),
        balanced,
        *(partial(merged, fine, 4 + i) for i, fine in enumerate(finer) if fine > k),
        *(lambda i=i: cluster(source.vectors, k, 6 + i)[0] for i in range(PLAIN)),
    ]
