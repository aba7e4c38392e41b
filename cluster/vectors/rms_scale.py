"""Scale vectors to a root mean square norm of 1 by one number, which a linear layer can absorb.

Normalising each vector by its own norm, as a cosine does, is no linear operation. Vectors that have
norm 1 already (pca.normalize, no projection) stay as they are.
"""

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from cluster.vectors.tiles import tiles


def rms_scale(rows: Rows, *, center: bool) -> Scale:
    """mean: of the rows if `center`, else 0; deviation, equal in every dim: the root mean square
    distance of the rows from it. Raises ClusterError when that is 0: all rows are equal."""
    mean = torch.zeros(rows.dim, dtype=torch.float64)
    if center:
        for _, x in tiles(rows, "cpu"):
            mean += x.double().sum(0)
        mean /= len(rows)
    square = sum(float((x.double() - mean).square().sum()) for _, x in tiles(rows, "cpu"))
    rms = np.sqrt(square / len(rows))
    if rms < 1e-12:
        raise ClusterError(f"all {len(rows)} vectors are equal: nothing can be learned from them")
    # Vectors of norm 1 in float32 have to stay the same to the last bit
    rms = 1.0 if abs(rms - 1) < 1e-5 else rms
    return Scale(mean.float().numpy(), np.full(rows.dim, rms, np.float32))
