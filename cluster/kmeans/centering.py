"""Where k-means sees the rows: near the origin, or (cosine) at unit length."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import to_tile

SAMPLE = 1024  # rows, from first to last, that show where the rows lie
FAR = 3  # times the spread: rows that lie so far from the origin are shifted to it


class Frame(NamedTuple):
    """shift: float32 [dim], what is taken from each row, or None."""

    cosine: bool
    shift: torch.Tensor | None

    def place(self, block: np.ndarray, device: str) -> torch.Tensor:
        """Rows (float32 [image, dim]) as they are seen, on the device."""
        x = to_tile(block, device, self.cosine)
        return x if self.shift is None else x - self.shift.to(device)

    def inside(self, centroids: np.ndarray, device: str) -> torch.Tensor:
        """Centroids [run, cluster, dim] as they lie among the rows seen."""
        c = torch.tensor(centroids, dtype=torch.float32, device=device)
        return self.means(c) if self.shift is None else c - self.shift.to(device)

    def outside(self, centroids: torch.Tensor) -> np.ndarray:
        """And back."""
        moved = centroids if self.shift is None else centroids + self.shift.to(centroids.device)
        return moved.cpu().numpy()

    def means(self, means: torch.Tensor) -> torch.Tensor:
        """Means of rows [run, cluster, dim] as centroids: the cosine metric has unit ones."""
        return torch.nn.functional.normalize(means, dim=2) if self.cosine else means


def frame_of(rows: Rows, cosine: bool) -> Frame:
    """The shift is about the mean of the rows, if they lie so far away that float32 would lose
    digits."""
    if cosine:
        return Frame(True, None)
    sample = np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)
    x = rows.take(sample).astype(np.float64)
    mean = x.mean(0)
    spread = np.square(x - mean).sum(1).mean()
    is_far = np.square(mean).sum() > FAR**2 * spread
    return Frame(False, torch.from_numpy(mean.astype(np.float32)) if is_far else None)
