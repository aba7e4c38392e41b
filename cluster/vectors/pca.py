"""Exact PCA (Pearson 1901) by the eigenvectors of the covariance, in one pass over the rows.

But: sums are in float64 about a shift near the mean, which avoids cancellation; with fewer rows
than dims the eigenvectors of the smaller Gram matrix are computed instead; each component's largest
entry is positive, so that signs agree between runs; a variance that the rounding of the vectors
explains is 0.
"""

from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError
from cluster.vectors.rows import TILE, Basis, Reduced, Rows

if TYPE_CHECKING:
    import torch

RANK = 1e-10  # of the largest variance: components with less are rounding


def fit_pca(
    rows: Rows, *, normalize: bool, whiten: bool, stored: str = "float32", device: str = "cpu"
) -> Basis:
    """The basis of `rows` ([image, dim]), whose leading components serve every smaller `dims`.

    It has all dim components; with n <= dim rows those with non-zero variance, at most n - 1. The
    variance is divided by n - 1, as in scikit-learn, and 0 where it is no more than what rounding
    to the dtype `stored` makes. Raises ClusterError with fewer than 2 rows.
    """
    import torch

    if len(rows) < 2:
        raise ClusterError(f"PCA needs at least 2 images to fit on, found {len(rows)}")
    none = np.zeros((0, rows.dim))
    unprojected = Basis(np.zeros(rows.dim), none, np.zeros(0), normalize, whiten)
    x = Reduced(rows, unprojected, 0)
    solve = _by_gram_matrix if len(rows) <= rows.dim else _by_covariance
    mean, square, variance, components = solve(x, device)
    variance, components = variance.flip(0).clamp(min=0), components.flip(0)
    # An error is uniform within eps of its number. Of few rows the largest eigenvalue of noise is
    # more than its variance by a factor (Marchenko and Pastur 1967).
    factor = (1 + (rows.dim / len(rows)) ** 0.5) ** 2
    noise = components.square() @ square * (factor * float(np.finfo(stored).eps) ** 2 / 12)
    variance = torch.where(variance > noise, variance, 0)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    return Basis(
        mean.cpu().numpy(),
        components.contiguous().cpu().numpy(),
        variance.cpu().numpy(),
        normalize,
        whiten,
    )


def _by_covariance(rows: Rows, device: str) -> "tuple[torch.Tensor, ...]":
    """mean [dim], mean square [dim], variance [dim] in ascending order, components [dim, dim]."""
    import torch

    from cluster.vectors.tiles import tiles

    shift = torch.from_numpy(rows.block(0, min(len(rows), TILE)).mean(axis=0, dtype=np.float64))
    shift = shift.to(device)
    total = torch.zeros(rows.dim, dtype=torch.float64, device=device)
    moment = torch.zeros(rows.dim, rows.dim, dtype=torch.float64, device=device)
    for _, tile in tiles(rows, device):
        x = tile.double().sub_(shift)
        total += x.sum(0)
        moment.addmm_(x.T, x)
    mean = total / len(rows)
    covariance = (moment - len(rows) * torch.outer(mean, mean)) / (len(rows) - 1)
    variance, vectors = torch.linalg.eigh(covariance)
    mean = shift + mean
    square = covariance.diagonal() * ((len(rows) - 1) / len(rows)) + mean.square()
    return mean, square, variance, vectors.T


def _by_gram_matrix(rows: Rows, device: str) -> "tuple[torch.Tensor, ...]":
    """The same from the inner products of all pairs of rows."""
    import torch

    x = torch.from_numpy(rows.block(0, len(rows))).to(device).double()
    mean, square = x.mean(0), x.square().mean(0)
    x = x - mean
    variance, vectors = torch.linalg.eigh(x @ x.T / (len(rows) - 1))
    kept = variance > variance[-1].clamp(min=0) * RANK
    variance, vectors = variance[kept], vectors[:, kept]
    components = vectors.T @ x
    return mean, square, variance, torch.nn.functional.normalize(components, dim=1)
