"""The rows as k-means sees them: on the device, near the origin or (cosine) of unit length."""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch

from cluster.room import has_room
from cluster.rows import Rows
from cluster.tiles import tiles, to_tile

SAMPLE = 1024  # rows, from first to last, that show where the rows lie
FAR = 3  # times the spread: rows that lie so far from the origin are shifted to it


@final
class View:
    """norms: float32 [image], the lengths of the rows as seen; variance: the mean of the dims'."""

    def __init__(self, rows: Rows, cosine: bool, device: str) -> None:
        self._rows, self._cosine, self._device = rows, cosine, device
        self._kept: list[tuple[slice, torch.Tensor]] | None = None
        self._shift = None if cosine else self._offset()
        if has_room(len(rows) * rows.dim, device):
            self._kept = list(self.tiles())
        total = torch.zeros(rows.dim, dtype=torch.float64, device=device)
        norms = []
        for _, x in self.tiles():
            norms.append(x.norm(dim=1))
            total += x.sum(0)
        self.norms = torch.cat(norms)
        square = self.norms.double().square().mean() - (total / len(rows)).square().sum()
        self.variance = max(0.0, float(square) / rows.dim)

    def __len__(self) -> int:
        return len(self._rows)

    def tiles(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Which rows, and those rows, float32 [image, dim]."""
        if self._kept is not None:
            return iter(self._kept)
        return tiles(self._rows, self._device, unit=self._cosine, shift=self._shift)

    def take(self, rows: np.ndarray) -> torch.Tensor:
        """Some rows (int [image], any order), float32 [image, dim]."""
        x = to_tile(self._rows.take(rows), self._device, self._cosine)
        return x if self._shift is None else x - self._shift

    def inside(self, centroids: np.ndarray) -> torch.Tensor:
        """Centroids [run, cluster, dim] as they lie among the rows seen."""
        c = torch.tensor(centroids, dtype=torch.float32, device=self._device)
        return self.means(c) if self._shift is None else c - self._shift

    def outside(self, centroids: torch.Tensor) -> np.ndarray:
        """And back."""
        return (centroids if self._shift is None else centroids + self._shift).cpu().numpy()

    def means(self, means: torch.Tensor) -> torch.Tensor:
        """Means of rows [run, cluster, dim] as centroids: the cosine metric has unit ones."""
        return torch.nn.functional.normalize(means, dim=2) if self._cosine else means

    def _offset(self) -> torch.Tensor | None:
        """About the mean of the rows, if they lie so far away that float32 would lose digits."""
        sample = np.linspace(0, len(self) - 1, min(len(self), SAMPLE)).astype(np.int64)
        x = to_tile(self._rows.take(sample), self._device, False).double()
        mean = x.mean(0)
        spread = (x - mean).square().sum(1).mean()
        return mean.float() if mean.square().sum() > FAR**2 * spread else None
