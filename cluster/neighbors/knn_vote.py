"""Weighted k-nearest-neighbour vote: the cluster with the largest weight among the neighbours.

After the weighted k-nearest-neighbour classifier (Dudani 1976). But: the votes of an image are
sorted and summed, so that time and memory do not depend on the number of clusters; a neighbour with
a similarity below 0 has no vote.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError

CELLS = 4_000_000  # votes that are summed at once


class KnnVote(NamedTuple):
    """assignment: int32 [seed, image]; probability: float32 [seed, image], the share of the
    neighbours' weight in the assigned cluster."""

    assignment: np.ndarray
    probability: np.ndarray


def knn_vote(
    neighbor: np.ndarray, similarity: np.ndarray, cluster_of: np.ndarray, k: int
) -> KnnVote:
    """The cluster of each image by a vote of its neighbours, for each seed.

    neighbor: int [image, neighbor], positions in the fitted images; similarity: float32 [image,
    neighbor]; cluster_of: int32 [seed, fitted image], in 0..k-1. A vote weighs its similarity, or 0
    if that is negative. If all votes of an image weigh 0, as with minus a distance, they count
    equally. Sums are in float64, where sums of float32 numbers of one magnitude are exact, so that
    equal votes tie. Ties: the lower cluster. Raises ClusterError when the arrays do not fit one
    another.
    """
    _require_table(neighbor, similarity, cluster_of)
    if cluster_of.size and not 0 <= cluster_of.min() <= cluster_of.max() < k:
        raise ClusterError(
            f"the clusters of the fitted images are {cluster_of.min()} to {cluster_of.max()}, "
            f"expected 0 to {k - 1}"
        )
    shape = (len(cluster_of), len(neighbor))
    out = KnnVote(np.empty(shape, np.int32), np.empty(shape, np.float32))
    step = max(1, CELLS // neighbor.shape[1])
    for start in range(0, len(neighbor), step):
        here = slice(start, start + step)
        weight = voter_weights(similarity[here])
        for seed, clusters in enumerate(cluster_of):
            own, share = weighted_mode(clusters[neighbor[here]], weight)
            out.assignment[seed, here], out.probability[seed, here] = own, share
    return out


def support(
    neighbor: np.ndarray,
    similarity: np.ndarray,
    cluster_of: np.ndarray,
    own: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """The share of the nearest neighbours' weight in a given cluster: float32 [seed, image].

    As `knn_vote`, with own: int32 [seed, image], the cluster of each image, and others: int [seed,
    image], how many other fitted images that cluster has. So many of the neighbours count, or all
    if they are fewer, but at least one: so the share can be 1 in a cluster of any size, but for an
    image alone.
    """
    _require_table(neighbor, similarity, cluster_of)
    out = np.empty(own.shape, np.float32)
    step = max(1, CELLS // neighbor.shape[1])
    for start in range(0, len(neighbor), step):
        here = slice(start, start + step)
        place = np.arange(neighbor.shape[1])
        for seed, clusters in enumerate(cluster_of):
            counts = place < np.maximum(others[seed, here, None], 1)
            weight = voter_weights(similarity[here], counts)
            agree = clusters[neighbor[here]] == own[seed, here, None]
            out[seed, here] = (weight * agree).sum(axis=1) / weight.sum(axis=1)
    return out


def voter_weights(similarity: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Weights of votes, float64 [image, neighbor]: similarities, negative ones as 0; all 1 in a row
    where all would be 0. Where `counts` (bool) is false, the weight is 0."""
    weight = np.maximum(similarity.astype(np.float64), 0)
    if counts is not None:
        weight *= counts
    none = ~weight.any(axis=1)
    weight[none] = 1 if counts is None else counts[none]
    return weight


def weighted_mode(cluster: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of the largest weight in each row, and its share: int and float64 [image].

    cluster: int [image, voter]; weight: float64 [image, voter]. Ties: the lower cluster.
    """
    images, voters = cluster.shape
    if not images:
        return np.empty(0, np.int32), np.empty(0)
    order = np.argsort(cluster, axis=1, kind="stable")
    cluster = np.take_along_axis(cluster, order, axis=1)
    weight = np.take_along_axis(weight, order, axis=1)
    begins = np.ones(cluster.shape, bool)
    begins[:, 1:] = cluster[:, 1:] != cluster[:, :-1]
    first_vote = np.flatnonzero(begins)  # of each cluster, in sorted order
    votes = np.add.reduceat(weight.ravel(), first_vote)
    image = first_vote // voters
    most = np.maximum.reduceat(votes, np.searchsorted(image, np.arange(images)))
    ahead = np.flatnonzero(votes == most[image])
    first = ahead[np.searchsorted(image[ahead], np.arange(images))]
    return cluster.ravel()[first_vote[first]], most / weight.sum(axis=1)


def _require_table(neighbor: np.ndarray, similarity: np.ndarray, cluster_of: np.ndarray) -> None:
    if neighbor.ndim != 2 or neighbor.shape != similarity.shape or not neighbor.shape[1]:
        raise ClusterError(
            f"neighbours are {list(neighbor.shape)} and similarities {list(similarity.shape)}: "
            "both have to be [image, neighbor], with at least one neighbour"
        )
    fitted = cluster_of.shape[1]
    if neighbor.size and not 0 <= neighbor.min() <= neighbor.max() < fitted:
        raise ClusterError(
            f"neighbours are {neighbor.min()} to {neighbor.max()}, there are {fitted} fitted "
            f"images: expected 0 to {fitted - 1}"
        )
    if not np.isfinite(similarity).all():
        raise ClusterError("some similarities are not finite: make the table of neighbours again")
