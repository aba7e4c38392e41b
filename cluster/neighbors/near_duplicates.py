"""Near-duplicates and consecutive frames: which images stay, and which of those stands for each.

The greedy walk of leaders (Hartigan 1975, ch. 3), in row order: an image stays unless it is as
like as the threshold to one that stays. But: against all that stay, not a few neighbours; and the
most similar of them stands for it, not the first.

The rows go tile by tile. Products of matrices in float32 tell what is clearly above or below; what
is nearer to the threshold, or to the best, than their rounding is compared again in float64.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kernels.low_precision import ROUNDING, full_precision
from cluster.kernels.similarity import ProductSpace, similarities, survey
from cluster.vectors.rows import Rows

TILE = 4096  # rows
LEADERS = 8192  # they are compared with at once
PAIRS = 1_000_000  # compared in float64 at once
TIE = 1e-12  # cosines that differ by less are equal: of x and 3x it is 1, up to rounding


def leaders(
    rows: Rows,
    threshold: float,
    *,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> np.ndarray:
    """int64 [image]: the first image of each one's group of near-duplicates, itself if it stays.

    An image stays unless its cosine to one that stays, further up, is `threshold` or more; then it
    joins the most similar of those (ties: the lower row). The cosine of a vector of zeros is 0, so
    each of them stays. ClusterError: threshold not in (0, 1], features not finite.
    """
    if not 0 < threshold <= 1:
        raise ClusterError(
            f"the threshold of near-duplicates is {threshold}, expected a cosine above 0 and up to "
            "1, such as 0.98"
        )
    walk = _Walk(rows, threshold, device)
    for start in range(0, len(rows), TILE):
        walk.take(start, min(start + TILE, len(rows)))
        progress(min(start + TILE, len(rows)) - start)
    return walk.leader


class _Tile(NamedTuple):
    """Rows start..: x float32 [image, dim], as read; unit, of length 1 and on the device."""

    start: int
    x: np.ndarray
    unit: torch.Tensor


class _Walk:
    """What is known of the rows so far. leader: int64 [image]; cosine: float64 [image], to it."""

    def __init__(self, rows: Rows, threshold: float, device: str) -> None:
        self._rows, self._facts, self._device = rows, survey(rows), device
        self._space = ProductSpace.of(self._facts, "cosine")
        self._least = threshold - TIE
        self._slack = ROUNDING * rows.dim**0.5
        self._stays = np.zeros(len(rows), bool)
        self.leader = np.full(len(rows), -1, np.int64)
        self._cosine = np.full(len(rows), -np.inf)

    def take(self, start: int, stop: int) -> None:
        """Find the leaders of rows start..stop; all rows before have theirs."""
        x = self._rows.block(start, stop)
        tile = _Tile(start, x, self._unit(x, np.arange(start, stop)))
        kept = np.flatnonzero(self._stays[:start])
        for low in range(0, len(kept), LEADERS):
            to = kept[low : low + LEADERS]
            self._join(tile, _products(tile.unit, self._unit(self._rows.take(to), to)), to)
        within = _products(tile.unit, tile.unit)
        later = torch.ones_like(within, dtype=torch.bool).triu()
        within[later] = -2  # an image joins only those further up
        self._stays[start:stop] = self._who_stays(tile, within.cpu().numpy())
        new = np.flatnonzero(self._stays[start:stop])
        if 0 < len(new) < len(x):
            self._join(tile, within[:, torch.from_numpy(new).to(within.device)], new + start)
        self.leader[new + start] = new + start

    def _who_stays(self, tile: _Tile, within: np.ndarray) -> np.ndarray:
        """bool [image]; within: float32 [image, image], cosines to those further up."""
        stays = self.leader[tile.start : tile.start + len(tile.x)] < 0
        within = np.where(stays[:, None] & stays, within, np.float32(-2))
        near = within >= self._least + self._slack
        row, column = np.nonzero(~near & (within >= self._least - self._slack))
        for part in _parts(len(row)):
            exact = self._exact(tile, row[part], column[part] + tile.start)
            near[row[part], column[part]] = exact >= self._least
        for image in np.flatnonzero(near.any(1)):  # whether it stays hangs on those before
            stays[image] = not (near[image] & stays).any()
        return stays

    def _join(self, tile: _Tile, cosine: torch.Tensor, to: np.ndarray) -> None:
        """Give each row of a tile its best so far. cosine: float32 [image, leader]; to: int64
        [leader], their rows, rising."""
        here = slice(tile.start, tile.start + len(tile.x))
        best = torch.from_numpy(self._cosine[here]).to(cosine.device, torch.float32)
        floor = torch.maximum(cosine.amax(1), best) - 2 * self._slack
        floor = floor.clamp_min(self._least - self._slack)
        row, column = torch.nonzero(cosine >= floor[:, None]).cpu().numpy().T
        for part in _parts(len(row)):
            line, leader = row[part], to[column[part]]
            exact = self._exact(tile, line, leader)
            order = np.lexsort((leader, -exact, line))
            order = order[exact[order] >= self._least]
            order = order[np.flatnonzero(np.diff(line[order], prepend=-1))]  # the best of each
            image = line[order] + tile.start
            better = exact[order] > self._cosine[image]  # of equal ones the lower row was first
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
    return torch.from_numpy(x.numpy() @ y.numpy().T)  # faster than torch's on some processors


def _parts(count: int) -> Iterator[slice]:
    return (slice(low, low + PAIRS) for low in range(0, count, PAIRS))
