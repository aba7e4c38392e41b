"""Leader clustering of near-duplicates, such as consecutive frames: one image stands for a group.

The leader algorithm (Hartigan 1975, ch. 3), in row order: an image becomes a leader unless its
similarity to a leader reaches the threshold. But: it is compared with all leaders, not with a few
neighbours, and joins the most similar one, not the first.

Rows are processed tile by tile. Matrix products in float32 decide what is clearly above or below
the threshold; pairs within their rounding of it, or of the best, are compared again in float64.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kernels.low_precision import ROUNDING, full_precision
from cluster.kernels.similarity import ProductSpace, similarities, survey
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import Rows

TILE = 4096  # rows
LEADERS = 8192  # that rows are compared with at once
PAIRS = 1_000_000  # compared in float64 at once
TIE = 1e-12  # cosines that differ by less are equal: that of x and 3x is 1 up to rounding


def leaders(
    rows: Rows,
    threshold: float,
    *,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> np.ndarray:
    """The leader of each image's group of near-duplicates: int64 [image], itself if it is a leader.

    An image is a leader unless its cosine to an earlier leader is `threshold` or more; then it
    joins the most similar of those (ties: the lower row). Vectors of zeros have no direction: they
    are duplicates of one another alone. progress is called with the number of images done since the
    last call. Raises ClusterError when threshold is not in (0, 1] or features are not finite.
    """
    if not 0 < threshold <= 1:
        raise ClusterError(
            f"the threshold of near-duplicates is {threshold}, expected a cosine above 0 and up to "
            "1, such as 0.98"
        )
    clustering = _LeaderClustering(rows, threshold, device)
    for start in range(0, len(rows), TILE):
        clustering.assign(start, min(start + TILE, len(rows)))
        progress(min(start + TILE, len(rows)) - start)
    return clustering.leader_of_all()


class _Tile(NamedTuple):
    """Rows start..: x float32 [image, dim], as read; unit: of length 1 and on the device."""

    start: int
    x: np.ndarray
    unit: torch.Tensor


class _Leaders(NamedTuple):
    """At most LEADERS of them. rows: int64 [leader], sorted; unit: their vectors of length 1, on a
    GPU that has memory for them, so that they are read and scaled once."""

    rows: np.ndarray
    unit: torch.Tensor | None


class _LeaderClustering:
    """The state after some rows. leader: int64 [image]; _cosine: float64 [image], to the leader."""

    def __init__(self, rows: Rows, threshold: float, device: str) -> None:
        self._rows, self._facts, self._device = rows, survey(rows), device
        self._space = ProductSpace.of(self._facts, "cosine")
        self._least = threshold - TIE
        self._error = ROUNDING * rows.dim**0.5
        self.leader = np.full(len(rows), -1, np.int64)
        self._cosine = np.full(len(rows), -np.inf)
        self._leaders: list[_Leaders] = []

    def assign(self, start: int, stop: int) -> None:
        """Assign leaders to rows start..stop, after all rows before."""
        x = self._rows.block(start, stop)
        tile = _Tile(start, x, self._unit(x, np.arange(start, stop)))
        for to, unit in self._leaders:
            there = self._unit(self._rows.take(to), to) if unit is None else unit
            self._join(tile, _products(tile.unit, there), to)
        within = _products(tile.unit, tile.unit)
        later = torch.ones_like(within, dtype=torch.bool).triu()
        within[later] = -2  # an image joins only earlier ones
        new = np.flatnonzero(self._leaders_of(tile, within))
        self._keep(tile, new)
        if 0 < len(new) < len(x):
            self._join(tile, within[:, torch.from_numpy(new).to(within.device)], new + start)
        self.leader[new + start] = new + start

    def _keep(self, tile: _Tile, new: np.ndarray) -> None:
        """Add leaders, int64 [leader] in the tile, to those before."""
        unit = None
        if fits_on_gpu(len(new) * self._rows.dim, self._device):
            unit = tile.unit[torch.from_numpy(new).to(tile.unit.device)]
        last = self._leaders[-1] if self._leaders else None
        rows = new + tile.start
        if last is not None and len(last.rows) + len(new) <= LEADERS:
            rows = np.concatenate([last.rows, rows])
            unit = None if last.unit is None or unit is None else torch.cat([last.unit, unit])
            self._leaders.pop()
        if len(rows):
            self._leaders.append(_Leaders(rows, unit))

    def leader_of_all(self) -> np.ndarray:
        """The leader of each image, once all have one: int64 [image]."""
        zeros = np.flatnonzero(self._facts.squares == 0)
        self.leader[zeros] = zeros[:1]  # their cosine is 0, so each leads itself so far
        return self.leader

    def _leaders_of(self, tile: _Tile, within: torch.Tensor) -> np.ndarray:
        """Which images of a tile are leaders, bool [image]; within: float32 [image, image], cosines
        to earlier images of the tile."""
        leads = self.leader[tile.start : tile.start + len(tile.x)] < 0
        there = torch.from_numpy(leads).to(within.device)
        maybe = (within >= self._least - self._error) & there & there[:, None]
        clear = maybe & (within >= self._least + self._error)
        row, column = torch.nonzero(maybe & ~clear).cpu().numpy().T
        near = clear.cpu().numpy()
        for some in _pieces(len(row)):
            exact = self._exact(tile, row[some], column[some] + tile.start)
            near[row[some], column[some]] = exact >= self._least
        for image in np.flatnonzero(near.any(1)):  # depends on which earlier ones are leaders
            leads[image] = not (near[image] & leads).any()
        return leads

    def _join(self, tile: _Tile, cosine: torch.Tensor, to: np.ndarray) -> None:
        """Update the best leader of each row of a tile. cosine: float32 [image, leader]; to: int64
        [leader], their rows, sorted."""
        here = slice(tile.start, tile.start + len(tile.x))
        best = torch.from_numpy(self._cosine[here]).to(cosine.device, torch.float32)
        floor = torch.maximum(cosine.amax(1), best) - 2 * self._error
        floor = floor.clamp_min(self._least - self._error)
        row, column = torch.nonzero(cosine >= floor[:, None]).cpu().numpy().T
        for some in _pieces(len(row)):
            line, leader = row[some], to[column[some]]
            exact = self._exact(tile, line, leader)
            order = np.lexsort((leader, -exact, line))
            order = order[exact[order] >= self._least]
            order = order[np.flatnonzero(np.diff(line[order], prepend=-1))]  # the best of each
            image = line[order] + tile.start
            better = exact[order] > self._cosine[image]  # of equal ones the lower row came first
            self._cosine[image[better]] = exact[order][better]
            self.leader[image[better]] = leader[order][better]

    def _exact(self, tile: _Tile, row: np.ndarray, to: np.ndarray) -> np.ndarray:
        squares = self._facts.squares[tile.start : tile.start + len(tile.x)]
        return similarities(tile.x, squares, row, self._rows, self._facts, to, "cosine")

    def _unit(self, x: np.ndarray, rows: np.ndarray) -> torch.Tensor:
        unit = self._space.targets(x, self._facts.squares[rows], np.float32)
        return torch.from_numpy(unit).to(self._device)


def _products(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if x.is_cuda:
        with full_precision(x.device).applied():
            return x @ y.T
    return torch.from_numpy(x.numpy() @ y.numpy().T)  # faster than torch's on some CPUs


def _pieces(count: int) -> Iterator[slice]:
    return (slice(low, low + PAIRS) for low in range(0, count, PAIRS))
