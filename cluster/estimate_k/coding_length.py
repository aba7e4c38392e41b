"""Lossy coding length of clustered vectors: the bits that encode them up to a distortion.

After Ma, Derksen, Hong and Wright (PAMI 2007, equations 16 and 20): each cluster is encoded as a
Gaussian with its own mean, and so is the cluster of each image. With more clusters the vectors take
fewer bits and the clusters more; the clustering with the shortest code is the best.
But: the origin is the mean of all vectors, so that the position of the data has no influence; and
for a cluster with fewer images than dims the determinant is taken of the Gram matrix (it is equal).
"""

import numpy as np

from cluster.errors import ClusterError


def coding_length(vectors: np.ndarray, assignment: np.ndarray, eps: float) -> float:
    """Bits for `vectors` (float [image, dim]) in the clusters of `assignment` (int [image]).

    eps: the allowed root mean square distance of a decoded vector from the true one.
    With n_i images in cluster i, V_i those less their mean mu_i, and d dims, the sum over i of
    (n_i + d)/2 log2 det(I + d/(eps² n_i) V_i V_iᵀ) + d/2 log2(1 + |mu_i|²/eps²) - n_i log2(n_i/n).
    Raises ClusterError without vectors, or when eps is not above 0.
    """
    n, dim = vectors.shape
    if not n or not eps > 0:
        raise ClusterError(
            f"{n} vectors to encode up to a distortion of {eps}: both have to be above 0"
        )
    order = np.argsort(assignment, kind="stable")
    size = np.unique(assignment, return_counts=True)[1]
    x = vectors[order].astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    bits = float(-(size * np.log2(size / n)).sum())
    for own in np.split(x, np.cumsum(size)[:-1]):
        mean = own.mean(axis=0)
        spread = own - mean
        inner = spread.T @ spread if len(own) > dim else spread @ spread.T
        volume = np.linalg.slogdet(np.eye(len(inner)) + dim / (eps**2 * len(own)) * inner)[1]
        bits += (len(own) + dim) / 2 * volume / np.log(2)
        bits += dim / 2 * np.log2(1 + mean @ mean / eps**2)
    return bits
