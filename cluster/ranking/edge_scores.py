"""What the weights between clusters on a graph say: edge information at two lags, modularity.

Modularity (Newman and Girvan, Phys. Rev. E 69, 026113, 2004, equation 5): the weight within
clusters less what it would be if edges were laid by chance between images of the same weights.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.information import cluster_weights, information

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class EdgeScores(NamedTuple):
    """information, information_far: nats, of one step and of `lag` steps; modularity: up to 1."""

    information: float
    information_far: float
    modularity: float


def edge_scores(graph: "csr_array", assignment: np.ndarray, k: int, lag: int) -> EdgeScores:
    """Those of one clustering, int [image] in 0..k-1, on a graph as in
    cluster.block_model.information."""
    live, own = np.unique(assignment, return_inverse=True)  # empty clusters cost time alone
    near = cluster_weights(graph, own, len(live)).weight
    far = cluster_weights(graph, own, len(live), lag=lag).weight
    return EdgeScores(information(near), information(far), modularity(near))


def modularity(weight: np.ndarray) -> float:
    """Q = sum_c (M_cc - r_c^2) of the weights between clusters, float64 [cluster, cluster]; 0
    without any weight."""
    share = weight / max(weight.sum(), 1e-300)
    return float(np.trace(share) - np.square(share.sum(axis=1)).sum())
