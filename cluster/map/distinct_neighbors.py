"""The nearest neighbours of each distinct vector among the distinct ones, with similarities.

Equal vectors are to have one place. A table of neighbours lists of many equal vectors nothing but
copies, so that these would be a part of the graph of their own.
"""

import numpy as np

from cluster.kernels.similarity import Metric, similarities, survey
from cluster.neighbors.equal_rows import Distinct
from cluster.neighbors.table import Neighbors
from cluster.spectral.distinct_points import neighbors_of_distinct
from cluster.vectors.rows import Rows, Subset

BLOCK = 65_536  # pairs that are compared at once


def distinct_neighbors(
    rows: Rows, neighbor: np.ndarray, distinct: Distinct, k: int, *, metric: Metric, device: str
) -> Neighbors:
    """The k nearest distinct vectors of each, or all others where there are fewer, as positions in
    `distinct`; arguments as of cluster.spectral.distinct_points.neighbors_of_distinct."""
    near = neighbors_of_distinct(rows, neighbor, distinct, k, metric=metric, device=device)
    points, k = Subset(rows, distinct.first), near.shape[1]
    facts = survey(points)
    similarity = np.empty(near.shape, np.float32)
    for low in range(0, len(near), step := max(1, BLOCK // max(k, 1))):
        here = slice(low, min(low + step, len(near)))
        x = points.block(here.start, here.stop)
        pair = (np.repeat(np.arange(len(x)), k), points, facts, near[here].ravel().astype(np.int64))
        similarity[here] = similarities(x, facts.squares[here], *pair, metric).reshape(
            x.shape[0], k
        )
    return Neighbors(near, similarity)
