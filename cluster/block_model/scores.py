"""How well each image fits into each cluster: what an image adds to the edge information there.

With N = W P the weight between an image and each cluster (P one-hot clusters) and L = log(M / rr'),
of cluster.block_model.information, the score of image i in cluster c is

    S_ic = 2 (N L^T)_ic / d_i,

the change of I by its place, per weight of its edges d_i and up to a term of second order (Karrer
and Newman 2011). At a lag, N = (W D^-1)^(lag-1) W P. Neither N nor S is kept for all images: at lag
1 the scores are computed for a block of images, at a lag, where each image's need all others, for a
block of clusters, unless N was small enough to be kept; only the best cluster and its score stay.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cluster.block_model.information import CELLS as COLUMN_CELLS
from cluster.block_model.information import SHARES, Reached, walk
from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 500_000  # scores of a block of images (4 MB)
NONE = 1e-12  # share of the weight that is taken between clusters without an edge
ROWS = 2048  # images of a block, at most

# From a range of images and one of clusters: what is added to the scores, float64 [image, cluster]
Prior = Callable[[slice, slice], np.ndarray]


def log_ratio(weight: np.ndarray) -> np.ndarray:
    """L of the weights between clusters, float64 [cluster, cluster]; of an empty cluster so low
    that no image goes there."""
    out = weight / max(weight.sum(), 1e-300)
    of_cluster = out.sum(axis=1)
    step = max(1, SHARES // max(1, len(out)))
    for low in range(0, len(out), step):
        share = out[low : low + step]
        expected = np.outer(of_cluster[low : low + step], of_cluster)
        ratio = np.maximum(share, NONE) / np.where(expected > 0, expected, 1)
        share[:] = np.where(expected > 0, np.log(ratio), np.log(NONE) * 2)
    return out


def best_clusters(
    graph: "csr_array",
    own: np.ndarray,
    reached: Reached,
    *,
    lag: int,
    prior: Prior | None = None,
) -> np.ndarray:
    """The cluster of the highest score (plus the prior's) of each image, int32; ties: the lower.

    own: int32 [image], the clusters that they have; reached: of these by cluster_weights, at the
    same lag. Without a prior, images without an edge stay.
    """
    images, ratio = len(own), log_ratio(reached.weight)
    k, degree = len(ratio), graph.sum(axis=1)
    per_weight = 2 / np.where(degree > 0, degree, 1)
    best, most = np.zeros(images, np.int32), np.full(images, -np.inf)

    def take(rows: slice, clusters: slice, score: np.ndarray) -> None:
        score *= per_weight[rows, None]
        if prior is not None:
            score += prior(rows, clusters)
        _keep_highest(score, clusters.start, best[rows], most[rows])

    def by_images(low: int) -> None:
        rows = slice(low, min(low + step, images))
        if reached.arrived is not None:
            score = reached.arrived[rows] @ ratio
        else:
            score = np.zeros((rows.stop - low, k))
            _edge_scores(low, graph.indptr, graph.indices, graph.data, own, ratio, score)
        take(rows, slice(0, k), score)

    def by_clusters(first: int) -> None:
        clusters = slice(first, min(first + width, k))
        score = walk(graph, ratio[own, clusters], lag)
        for low in range(0, images, ROWS):
            rows = slice(low, min(low + ROWS, images))
            take(rows, clusters, score[rows])

    if lag == 1 or reached.arrived is not None:
        step = max(1, min(ROWS, CELLS // k))
        on_cores(by_images, range(0, images, step))
    else:
        width = max(1, COLUMN_CELLS // max(1, images))
        for first in range(0, k, width):
            by_clusters(first)
    return best if prior else np.where(degree > 0, best, own).astype(np.int32)


@in_order
def _keep_highest(score: np.ndarray, first: int, best: np.ndarray, most: np.ndarray) -> None:
    """Write where a row of scores of the clusters from `first` on is higher than its `most`."""
    for i in range(len(score)):
        for c in range(score.shape[1]):
            if score[i, c] > most[i]:
                best[i], most[i] = first + c, score[i, c]


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
