"""Exact PCA in one pass: Pearson 1901, by the eigenvectors of the covariance.

But: sums in float64 about a shift near the mean, so that no digits cancel; blocks of any size give
the same components; each component's largest entry is positive, so that signs agree between runs.
"""

import numpy as np

from cluster.errors import ClusterError
from cluster.rows import TILE, Basis, Reduced, Rows


def fit_pca(rows: Rows, *, normalize: bool, whiten: bool, device: str = "cpu") -> Basis:
    """The full basis of `rows` ([image, dim]): leading components serve every smaller `dims`.

    variance is divided by n - 1, as scikit-learn does. Raises ClusterError with fewer than 2 rows.
    """
    import torch

    if len(rows) < 2:
        raise ClusterError(f"PCA needs at least 2 images to fit on, found {len(rows)}")
    nothing = np.zeros((0, rows.dim))
    whole = Basis(np.zeros(rows.dim), nothing, np.zeros(0), normalize, whiten)
    seen = Reduced(rows, whole, 0)
    shift = torch.as_tensor(seen.block(0, min(len(rows), TILE)).mean(axis=0, dtype=np.float64))
    shift = shift.to(device)
    total = torch.zeros(rows.dim, dtype=torch.float64, device=device)
    moment = torch.zeros(rows.dim, rows.dim, dtype=torch.float64, device=device)
    for start in range(0, len(rows), TILE):
        tile = torch.from_numpy(seen.block(start, min(start + TILE, len(rows)))).to(device)
        x = tile.double() - shift
        total += x.sum(0)
        moment.addmm_(x.T, x)
    mean = total / len(rows)
    covariance = (moment - len(rows) * torch.outer(mean, mean)) / (len(rows) - 1)
    variance, vectors = torch.linalg.eigh(covariance)
    variance, components = variance.flip(0).clamp(min=0), vectors.T.flip(0)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    return Basis(
        (shift + mean).cpu().numpy(),
        components.contiguous().cpu().numpy(),
        variance.cpu().numpy(),
        normalize,
        whiten,
    )
