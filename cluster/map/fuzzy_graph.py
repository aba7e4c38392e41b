"""The weighted graph of nearest neighbours that a map is laid out from.

After UMAP (McInnes, Healy and Melville, 2018, arXiv:1802.03426, section 3.1): image i is joined to
its neighbour j by w_ij = exp(-max(0, d_ij - rho_i) / sigma_i), with rho_i the distance of the
nearest one that is not at 0, and sigma_i such that its k neighbours weigh log2(k + 1) in all; a
pair has w_ij + w_ji - w_ij w_ji. But: from a table of neighbours that is there already, so that no
neighbour is searched and no vector is read. An image is not its own neighbour: k of the table are
k + 1 of umap-learn, whose function for it is compiled anew in every process, for seconds.
"""

from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from cluster.kernels.similarity import Metric

BLOCK = 65_536  # images whose weights are computed at once
STEPS, TOLERANCE = 64, 1e-5  # of the bisection, as umap-learn's
LEAST = 1e-3  # of the mean distance: sigma is at least that


def distances(similarity: np.ndarray, metric: "Metric") -> np.ndarray:
    """float32 [image, neighbor] of float32 similarities of the same shape, nearest first: 1 -
    cosine, the Euclidean distance, or, of inner products, 1 for the nearest and more for the others
    by how much less similar they are (only differences count)."""
    if not np.isfinite(similarity).all():
        raise ClusterError("some similarities are not finite: make the table of neighbours again")
    if metric == "euclidean":
        return np.maximum(-similarity, 0)
    most = 1 if metric == "cosine" else 1 + similarity[:, :1]
    return np.maximum(most - similarity, 0)


def memberships(distance: np.ndarray) -> np.ndarray:
    """The weights of an image to its neighbours, float32 [image, neighbor], 1 for the nearest;
    distance: float32 of the same shape, nearest first."""
    out = np.empty(distance.shape, np.float32)
    for low in range(0, len(distance), BLOCK):
        out[low : low + BLOCK] = _weights(distance[low : low + BLOCK].astype(np.float64))
    return out


def fuzzy_graph(neighbor: np.ndarray, distance: np.ndarray) -> "csr_array":
    """The weights as float32 csr [image, image], symmetric, without a diagonal.

    neighbor: int [image, neighbor], positions among these images, nearest first; distance: float32
    of the same shape.
    """
    from scipy.sparse import csr_array

    images, k = neighbor.shape
    begin = np.arange(0, neighbor.size + 1, k) if k else np.zeros(images + 1, int)
    flat = (memberships(distance).ravel(), neighbor.ravel(), begin)
    one = csr_array(flat, shape=(images, images))
    one.sort_indices()
    other = one.T.tocsr()
    union = csr_array(one + other - one.multiply(other))
    union.eliminate_zeros()
    return union


def parts(graph: "csr_array") -> int:
    """The number of connected components."""
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(graph, directed=False, return_labels=False))


def _weights(distance: np.ndarray) -> np.ndarray:
    images, k = distance.shape
    if not k:
        return distance
    apart = np.where(distance > 0, distance, np.inf).min(axis=1, keepdims=True)
    rho = np.where(np.isfinite(apart), apart, 0)  # 0: all are at 0
    beyond = np.maximum(distance - rho, 0)
    low, high = np.zeros((images, 1)), np.full((images, 1), np.inf)
    sigma = np.ones((images, 1))
    for _ in range(STEPS):
        off = np.exp(-beyond / sigma).sum(axis=1, keepdims=True) - np.log2(k + 1)
        if (np.abs(off) < TOLERANCE).all():
            break
        # One that is near enough stays, so that others have no influence on it
        moves, less = np.abs(off) >= TOLERANCE, off > 0
        high, low = np.where(moves & less, sigma, high), np.where(moves & ~less, sigma, low)
        between = np.where(np.isinf(high), 2 * sigma, (low + np.minimum(high, 1e300)) / 2)
        sigma = np.where(moves, between, sigma)
    least = LEAST * distance.sum(axis=1, keepdims=True) / (k + 1)
    return np.exp(-beyond / np.maximum(np.maximum(sigma, least), 1e-300))
