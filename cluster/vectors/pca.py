"""Exact PCA: Pearson 1901, by the eigenvectors of the covariance, in one pass over the rows.

But: sums in float64 about a shift near the mean, so that no digits cancel; of fewer rows than dims
the (smaller) matrix of inner products is taken apart instead; each component's largest entry is
positive, so that signs agree between runs.
"""

from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError
from cluster.vectors.rows import TILE, Basis, Reduced, Rows

if TYPE_CHECKING:
    import torch

RANK = 1e-10  # of the largest variance: components of less are rounding


def fit_pca(rows: Rows, *, normalize: bool, whiten: bool, device: str = "cpu") -> Basis:
    """The basis of `rows` ([image, dim]): its leading components serve every smaller `dims`.

    All dim components; of n <= dim rows those, at most n - 1, that have any variance. variance is
    divided by n - 1, as in scikit-learn. Raises ClusterError with fewer than 2 rows.
    """
    import torch

    if len(rows) < 2:
        raise ClusterError(f"PCA needs at least 2 images to fit on, found {len(rows)}")
    nothing = np.zeros((0, rows.dim))
    whole = Basis(np.zeros(rows.dim), nothing, np.zeros(0), normalize, whiten)
    seen = Reduced(rows, whole, 0)
    take_apart = _by_images if len(rows) <= rows.dim else _by_dims
    mean, variance, components = take_apart(seen, device)
    variance, components = variance.flip(0).clamp(min=0), components.flip(0)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    return Basis(
        mean.cpu().numpy(),
        components.contiguous().cpu().numpy(),
        variance.cpu().numpy(),
        normalize,
        whiten,
    )


def _by_dims(rows: Rows, device: str) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """mean [dim], variance [dim] rising and components [dim, dim] from the covariance."""
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
    return shift + mean, variance, vectors.T


def _by_images(rows: Rows, device: str) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """The same from inner products: with fewer rows than dims both are smaller than dim x dim."""
    import torch

    x = torch.from_numpy(rows.block(0, len(rows))).to(device).double()
    mean = x.mean(0)
    x = x - mean
    variance, vectors = torch.linalg.eigh(x @ x.T / (len(rows) - 1))
    kept = variance > variance[-1].clamp(min=0) * RANK
    variance, vectors = variance[kept], vectors[:, kept]
    components = vectors.T @ x
    return mean, variance, torch.nn.functional.normalize(components, dim=1)
