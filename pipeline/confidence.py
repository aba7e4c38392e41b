"""How far an image's neighbours agree with its cluster: a confidence that needs no label and means
the same for every method."""

from pathlib import Path

import numpy as np

from cluster.neighbors.knn_vote import support
from pipeline.io.neighbors import open_neighbors

BLOCK = 65_536  # images whose neighbours are looked at together


def confidence(
    path: Path, of: tuple[str, str], row: np.ndarray, fitted: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """The share of each image's neighbours that lie in its own cluster, each weighed by its
    similarity: float32 [image], 0 to 1 (cluster.neighbors.knn_vote.support).

    path: the table of neighbours; of: dataset and backbone; row: int64 [image], rows of the index,
    which rise; fitted: bool [image], those of train, which neighbours are of; own: int [image], the
    cluster of each. Only as many of the nearest count as the cluster has other images of train, so
    that 1 can be reached in small clusters. Raises StageError where the table is of other images.
    """
    with open_neighbors(path, of, row) as file:
        neighbor, similarity = file["neighbor"], file["similarity"]
    clusters, out = own[None].astype(np.int32), np.empty(len(row), np.float32)
    others = np.bincount(own[fitted], minlength=own.max(initial=0) + 1)[clusters] - fitted
    for start in range(0, len(row), BLOCK):  # places are twice the size of the table
        here = slice(start, start + BLOCK)
        at = np.searchsorted(row, neighbor[here])
        out[here] = support(
            at, similarity[here], clusters, clusters[:, here], others[:, here]
        )[0]  # fmt: skip
    return out
