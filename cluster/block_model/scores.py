"""How well each image fits into each cluster: what an image adds to the edge information there.

With N = W P the weight between an image and each cluster (P one-hot clusters) and L = log(M / rr'),
of cluster.block_model.information, the score of image i in cluster c is

    S_ic = 2 (N L^T)_ic / d_i,

the change of I by its place, per weight of its edges d_i and up to a term of second order (Karrer
and Newman 2011). At a lag, N = (W D^-1)^(lag-1) W P. Neither N nor S is kept for all images: at lag
1 the scores are computed for a block of images, at a lag, where each image's need all others, for a
block of clusters; only the best cluster so far and its score stay.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cluster.block_model.information import walk
from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 500_000  # scores of a block of images (4 MB)
COLUMNS = 16_000_000  # scores of a block of clusters, all images (128 MB)
NONE = 1e-12  # share of the weight that is taken between clusters without an edge
ROWS = 8192  # images of a block, at most

# From a range of images and one of clusters: what is added to the scores, float64 [image, cluster]
Prior = Callable[[slice, slice], np.ndarray]


def log_ratio(weight: np.ndarray) -> np.ndarray:
    """L of the weights between clusters, float64 [cluster, cluster]; of an empty cluster so low
    that no image goes there."""
    share = weight / max(weight.sum(), 1e-300)
    of_cluster = share.sum(axis=1)
    expected = np.outer(of_cluster, of_cluster)
    ratio = np.maximum(share, NONE) / np.where(expected > 0, expected, 1)
    return np.where(expected > 0, np.log(ratio), np.log(NONE) * 2)


def best_clusters(
    graph: "csr_array",
    own: np.ndarray,
    ratio: np.ndarray,
    *,
    lag: int,
    prior: Prior | None = None,
) -> np.ndarray:
    """The cluster of the highest score (plus the prior's) of each image, int32; ties: the lower.

    own: int32 [image], the clusters that they have. Without a prior, images without an edge stay.
    """
    images, k = len(own), len(ratio)
    degree = graph.sum(axis=1)
    per_weight = 2 / np.where(degree > 0, degree, 1)
    best = np.zeros(images, np.int32)
    if lag == 1:
        step = max(1, min(ROWS, CELLS // k))

        def some(low: int) -> None:
            rows = slice(low, min(low + step, images))
            score = np.zeros((rows.stop - low, k))
            _edge_scores(low, graph.indptr, graph.indices, graph.data, own, ratio, score)
            _best_of(score, per_weight, rows, slice(0, k), prior, best, None)

        on_cores(some, range(0, images, step))
    else:
        most = np.full(images, -np.inf)
        columns = max(1, COLUMNS // max(1, images))
        for first in range(0, k, columns):
            some_clusters = slice(first, min(first + columns, k))
            score = walk(graph, ratio[own, some_clusters], lag)
            for low in range(0, images, ROWS):
                rows = slice(low, min(low + ROWS, images))
                _best_of(score[rows], per_weight, rows, some_clusters, prior, best, most)
    return best if prior else np.where(degree > 0, best, own).astype(np.int32)


def _best_of(
    score: np.ndarray,
    per_weight: np.ndarray,
    rows: slice,
    clusters: slice,
    prior: Prior | None,
    best: np.ndarray,
    most: np.ndarray | None,
) -> None:
    """Take the best of a block of scores into `best`, where it is above `most` so far."""
    score *= per_weight[rows, None]
    if prior is not None:
        score += prior(rows, clusters)
    here = score.argmax(axis=1)
    if most is None:
        best[rows] = here
        return
    value = np.take_along_axis(score, here[:, None], 1)[:, 0]
    higher = value > most[rows]
    best[rows][higher] = here[higher] + clusters.start
    most[rows][higher] = value[higher]


@in_order
def _edge_scores(
    low: int, begin: np.ndarray, other: np.ndarray, weight: np.ndarray, own: np.ndarray,
    ratio: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """N L^T of the images from `low` on, into zeros [image, cluster]: L is symmetric, and an image
    has edges to few clusters."""
    k = ratio.shape[0]
    to, met = np.zeros(k), np.empty(k, np.int64)
    for i in range(len(out)):
        row, count = out[i], 0
        for edge in range(begin[low + i], begin[low + i + 1]):
            cluster = own[other[edge]]
            if to[cluster] == 0:
                met[count] = cluster
                count += 1
            to[cluster] += weight[edge]
        for number in range(count):
            cluster = met[number]
            share, line = to[cluster], ratio[cluster]
            for c in range(k):
                row[c] += share * line[c]
            to[cluster] = 0
