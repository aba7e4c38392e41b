"""`python -m cluster` compiles the loops for this processor (cluster.kernels.jit), so that no stage
waits for it. Compiled code is kept; run again, it finds nothing to do."""

from typing import Any

import numpy as np

from cluster.block_model.information import cluster_weights
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.small import small_kmeans
from cluster.neighbors.exact import nearest_neighbors
from cluster.spectral.lanczos import leading_pairs
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.vectors.rows import ArrayRows


def main() -> None:
    """Run what is compiled, on vectors of few dims and of many: these take other arithmetic."""
    settings: dict[str, Any] = {"seeds": [0, 1], "n_init": 2, "max_iter": 4, "tol": 0.0}
    for dim in (4, 128):
        rows = ArrayRows(np.random.default_rng(0).normal(size=(9000, dim)))
        assign(rows, kmeans(rows, 10, **settings).centroids)
        small_kmeans(ArrayRows(rows.array[:200]), 10, **settings)
        near = nearest_neighbors(rows, rows, 20, metric="cosine", own=np.arange(len(rows)))
    graph, parity = shared_neighbor_graph(near.neighbor), np.arange(len(rows)) % 2
    for lag in (1, 2):
        cluster_weights(graph, parity, 2, lag=lag)
    leading_pairs(graph, 2, np.ones(len(rows)), tol=1e-2)


if __name__ == "__main__":
    main()
