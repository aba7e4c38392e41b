"""Groups of images, as proposals are made of: int [image], from 0, NONE outside of all."""

from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NONE = -1


def require_same_images(graph: "csr_array", vectors: np.ndarray, group: np.ndarray) -> None:
    """Raise ClusterError unless all three have the same number of images."""
    if not len(vectors) == len(group) == graph.shape[0]:
        raise ClusterError(
            f"there are groups of {len(group)} images, {len(vectors)} vectors and a graph of "
            f"{graph.shape[0]}: expected the same images in each"
        )
