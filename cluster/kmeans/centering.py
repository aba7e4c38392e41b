"""Centering: the coordinates in which k-means computes, near the origin or (cosine) of unit length.

Rows far from the origin are shifted to it, since float32 would lose digits of their differences.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import to_tile

SAMPLE = 1024  # evenly spaced rows that estimate the mean and the spread
FAR = 3  # rows are shifted if their mean is further from the origin than this times their spread


class Centering(NamedTuple):
    """shift: subtracted from each row, or None."""

    cosine: bool
    shift: Float32[torch.Tensor, " dim"] | None

    def transform_rows(
        self, block: Float32[np.ndarray, "image dim"], device: str
    ) -> Float32[torch.Tensor, "image dim"]:
        """Rows in the new coordinates, on the device."""
        x = to_tile(block, device, self.cosine)
        return x if self.shift is None else x - self.shift.to(device)

    def transform(
        self, centroids: Float32[np.ndarray, "run cluster dim"], device: str
    ) -> Float32[torch.Tensor, "run cluster dim"]:
        """Centroids in the new coordinates."""
        c = torch.tensor(centroids, dtype=torch.float32, device=device)
        return self.to_centroids(c) if self.shift is None else c - self.shift.to(device)

    def inverse_transform(
        self, centroids: Float32[torch.Tensor, "run cluster dim"]
    ) -> Float32[np.ndarray, "run cluster dim"]:
        """Centroids in the original coordinates."""
        moved = centroids if self.shift is None else centroids + self.shift.to(centroids.device)
        return moved.cpu().numpy()

    def to_centroids(
        self, means: Float32[torch.Tensor, "run cluster dim"]
    ) -> Float32[torch.Tensor, "run cluster dim"]:
        """Means of rows as centroids, which have unit length under the cosine metric."""
        return torch.nn.functional.normalize(means, dim=2) if self.cosine else means


def fit_centering(rows: Rows, cosine: bool) -> Centering:
    """The centering of `rows`: their mean, estimated from a sample, if they lie far from the
    origin; none under the cosine metric."""
    if cosine:
        return Centering(True, None)
    sample = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)
    x = rows.take(sample).astype(np.float64)
    mean = x.mean(0)
    spread = np.square(x - mean).sum(1).mean()
    is_far = np.square(mean).sum() > FAR**2 * spread
    return Centering(False, torch.from_numpy(mean.astype(np.float32)) if is_far else None)
