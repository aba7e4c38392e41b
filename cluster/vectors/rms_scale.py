"""Vectors of length 1 in the root mean square, by one number that a linear layer can take in.

A cosine divides each vector by its own length, which no linear layer can do. Vectors that have
length 1 already (pca.normalize, no projection) stay as they are.
"""

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from cluster.vectors.tiles import tiles


def rms_scale(rows: Rows, *, center: bool) -> Scale:
    """The mean of the rows if `center`, else 0, and their RMS distance from it as the deviation of
    every dim. Raises ClusterError when that is 0: all rows are alike."""
    mean = torch.zeros(rows.dim, dtype=torch.float64)
    if center:
        for _, x in tiles(rows, "cpu"):
            mean += x.double().sum(0)
        mean /= len(rows)
    square = sum(float((x.double() - mean).square().sum()) for _, x in tiles(rows, "cpu"))
    length = np.sqrt(square / len(rows))
    if length < 1e-12:
        raise ClusterError(f"all {len(rows)} vectors are alike: there is nothing to tell apart")
    # Vectors of length 1 in float32 shall stay as they are to the last bit
    length = 1.0 if abs(length - 1) < 1e-5 else length
    return Scale(mean.float().numpy(), np.full(rows.dim, length, np.float32))
