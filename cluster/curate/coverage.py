"""How much of a collection lies near what was chosen of it."""

import numpy as np
from jaxtyping import Int64

from cluster.kernels.similarity import Metric
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import Rows, Subset


def nearest_chosen(
    rows: Rows,
    looked_at: Int64[np.ndarray, " image"],
    chosen: Int64[np.ndarray, " chosen"],
    *,
    metric: Metric,
    device: str = "cpu",
) -> np.ndarray:
    """How dissimilar each of the images `looked_at` is to the nearest chosen one: float64 [image],
    as `dissimilarity` has it."""
    near = nearest_neighbors(
        Subset(rows, looked_at), Subset(rows, chosen), 1, metric=metric, device=device
    )
    return dissimilarity(near.similarity[:, 0], metric)


def dissimilarity(similarity: np.ndarray, metric: Metric) -> np.ndarray:
    """1 - cosine, the Euclidean distance, or minus the inner product: float64."""
    return (metric == "cosine") - similarity.astype(np.float64)
