"""Small graphs, and the objective as a dense float64 product."""

import numpy as np
from scipy.sparse import csr_array


def random_graph(images: int = 60, seed: int = 0, edges: int = 4, groups: int = 3) -> csr_array:
    """Weighted, connected for the most part within `groups`, symmetric, no diagonal."""
    rng = np.random.default_rng(seed)
    group = np.arange(images) % groups
    chance = np.where(group[:, None] == group, 1.0, 0.15) * edges * groups / images
    joined = np.triu(rng.random((images, images)) < chance, 1) * rng.random((images, images))
    return csr_array(joined + joined.T)


def dense_information(graph: csr_array, assignment: np.ndarray, k: int, lag: int) -> float:
    w = graph.toarray()
    w /= w.sum()
    degree = w.sum(axis=1)
    inverse = np.diag(np.divide(1, degree, where=degree > 0, out=np.zeros(len(degree))))
    for _ in range(lag - 1):
        w = w @ inverse @ (graph.toarray() / graph.sum())
    hot = np.eye(k)[assignment]
    joint = hot.T @ w @ hot
    outer = np.outer(joint.sum(1), joint.sum(0))
    inside = joint > 0
    return float((joint[inside] * np.log(joint[inside] / outer[inside])).sum())
