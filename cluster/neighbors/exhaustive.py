"""The neighbours of queries for which float32 does not tell who they are.

The search is made again in float64, target by target: whatever its products say may be among the
k nearest of a tile, and as near as the k-th found so far, is compared pair by pair.
"""

import numpy as np
import torch

from cluster.kernels.similarity import ROUNDING_64, ProductSpace, Survey, similarities
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import Rows

QUERIES = 2048
TARGETS = 4096  # of a tile
PAIRS = 2_000_000  # compared at once


def search_float64(
    rows: Rows,
    squares: np.ndarray,
    least: np.ndarray,
    own: np.ndarray,
    among: Rows,
    facts: Survey,
    space: ProductSpace,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The k of `among` most similar to each of `rows`: positions, int64 [image, k], and
    similarities, float64 [image, k].

    squares: float64 [image]; least: float64 [image], a similarity that k of them reach; own: int64
    [image], the one to leave out, -1 for none.
    """
    position = np.empty((len(rows), k), np.int64)
    exact = np.empty((len(rows), k))
    for start in range(0, len(rows), QUERIES):
        here = slice(start, min(start + QUERIES, len(rows)))
        best = _Best(rows.block(here.start, here.stop), squares[here], least[here], own[here], k)
        best.find(among, facts, space)
        position[here], exact[here] = best.position, best.similarity
    return position, exact


class _Best:
    """The k best of some queries so far, nearest first."""

    def __init__(
        self, x: np.ndarray, squares: np.ndarray, least: np.ndarray, own: np.ndarray, k: int
    ) -> None:
        self._x, self._squares, self._least, self._own, self._k = x, squares, least, own, k
        self.position = np.full((len(x), k), -1, np.int64)
        self.similarity = np.full((len(x), k), -np.inf)

    def find(self, among: Rows, facts: Survey, space: ProductSpace) -> None:
        query = space.queries(self._x, self._squares, np.float64)
        for start in range(0, len(among), TARGETS):
            stop = min(start + TARGETS, len(among))
            target = space.targets(among.block(start, stop), facts.squares[start:stop], np.float64)
            row, position = self._near(query, target, start, space, facts.positive)
            for low in range(0, len(row), PAIRS):
                part = slice(low, low + PAIRS)
                exact = similarities(
                    self._x, self._squares, row[part], among, facts, position[part], space.metric
                )
                self._merge(row[part], position[part], exact)

    def _near(
        self, query: np.ndarray, target: np.ndarray, start: int, space: ProductSpace, positive: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a query and a target that may be neighbours: both int64 [pair], by query."""
        least = np.maximum(self._least, self.similarity[:, -1])
        slack = space.error_bound(least, query, ROUNDING_64)
        floor = space.product(least, query, self._squares) - slack
        # Where nothing is below 0, a product of 0 is exact, and so it is of a vector of zeros. Such
        # ties can be very many, and all but the first ones lose.
        sure = (self._squares == 0) | (positive & (self._x >= 0).all(1))
        if space.metric == "euclidean":
            sure = np.zeros_like(sure)
        room = np.where(self.similarity[:, -1] >= 0, 0, self._k)
        step = max(1, min(256, -(-len(query) // torch.get_num_threads())))
        found: list[tuple[np.ndarray, np.ndarray]] = [(_none(), _none())] * len(query)

        def part(low: int) -> None:
            scores = query[low : low + step] @ target.T
            each = np.arange(len(scores))
            here = slice(low, low + len(scores))
            at = self._own[here] - start
            mine = (at >= 0) & (at < len(target))
            scores[each[mine], at[mine]] = -np.inf
            zero = (scores == 0) & sure[here, None]
            scores[zero & (zero.cumsum(1) > room[here, None])] = -np.inf
            low_of = floor[here]
            if len(target) > self._k:
                # Two of this tile may be off, in opposite directions.
                kth = np.partition(scores, -self._k, axis=1)[:, -self._k]
                low_of = np.maximum(low_of, kth - 2 * slack[here])
            row, column = np.nonzero((scores >= low_of[:, None]) & ~np.isneginf(scores))
            found[low] = row + low, column + start

        on_cores(part, range(0, len(query), step))
        row, position = (np.concatenate(each) for each in zip(*found, strict=True))
        return row, position

    def _merge(self, row: np.ndarray, position: np.ndarray, exact: np.ndarray) -> None:
        which, size = np.unique(row, return_counts=True)
        place = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
        line = np.repeat(np.arange(len(which)), size)
        similarity = np.full((len(which), size.max(initial=0)), -np.inf)
        new = np.full(similarity.shape, -1, np.int64)
        similarity[line, place], new[line, place] = exact, position
        similarity = np.concatenate([self.similarity[which], similarity], 1)
        new = np.concatenate([self.position[which], new], 1)
        order = np.lexsort((new, -similarity), axis=1)[:, : self._k]
        self.similarity[which] = np.take_along_axis(similarity, order, 1)
        self.position[which] = np.take_along_axis(new, order, 1)


def _none() -> np.ndarray:
    return np.empty(0, np.int64)
