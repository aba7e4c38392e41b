"""Repeat in float64 the searches that float32 cannot decide.

The products of each tile of targets, in float64, select the pairs that may be among the k nearest
of the tile and as near as the k-th found so far; these are compared exactly, pair by pair.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.similarity import ROUNDING_64, similarities
from cluster.kernels.threads import on_cores
from cluster.neighbors.prepared_search import PreparedSearch
from cluster.vectors.rows import Rows

QUERIES = 2048  # searched at once
TARGETS = 4096  # of a tile
PAIRS = 2_000_000  # compared at once


class Undecided(NamedTuple):
    """Queries. squares: float64 [query], x·x; least: float64 [query], a similarity that k of the
    targets reach; own: int64 [query], a target to leave out, -1 for none."""

    rows: Rows
    squares: np.ndarray
    least: np.ndarray
    own: np.ndarray


def search_float64(
    queries: Undecided, search: PreparedSearch, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k targets most similar to each query: positions, int64 [query, k], and similarities,
    float64 [query, k]."""
    rows, squares, least, own = queries
    position = np.empty((len(rows), k), np.int64)
    exact = np.empty((len(rows), k))
    for start in range(0, len(rows), QUERIES):
        here = slice(start, min(start + QUERIES, len(rows)))
        best = _Best(rows.block(here.start, here.stop), squares[here], least[here], own[here], k)
        best.find(search)
        position[here], exact[here] = best.position, best.similarity
    return position, exact


class _Best:
    """The k best targets of some queries so far, nearest first."""

    def __init__(
        self, x: np.ndarray, squares: np.ndarray, least: np.ndarray, own: np.ndarray, k: int
    ) -> None:
        self._x, self._squares, self._least, self._own, self._k = x, squares, least, own, k
        self.position = np.full((len(x), k), -1, np.int64)
        self.similarity = np.full((len(x), k), -np.inf)

    def find(self, search: PreparedSearch) -> None:
        among, facts, space = search.targets, search.facts, search.space
        query = space.queries(self._x, self._squares, np.float64)
        for start in range(0, len(among), TARGETS):
            stop = min(start + TARGETS, len(among))
            target = space.targets(among.block(start, stop), facts.squares[start:stop], np.float64)
            row, position = self._near(query, target, start, search)
            for low in range(0, len(row), PAIRS):
                some = slice(low, low + PAIRS)
                exact = similarities(
                    self._x, self._squares, row[some], among, facts, position[some], space.metric
                )
                self._merge(row[some], position[some], exact)

    def _near(
        self, query: np.ndarray, target: np.ndarray, start: int, search: PreparedSearch
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a query and a target that may be neighbours: both int64 [pair], by query."""
        space = search.space
        least = np.maximum(self._least, self.similarity[:, -1])
        error = space.error_bound(least, query, ROUNDING_64)
        floor = space.product(least, query, self._squares) - error
        # Without negative numbers a product of 0 is exact, and so it is with a vector of zeros.
        # Such ties can be very many, of which only the first can be neighbours.
        sure = (self._squares == 0) | (search.facts.positive & (self._x >= 0).all(1))
        if space.metric == "euclidean":
            sure = np.zeros_like(sure)
        zeros = np.where(self.similarity[:, -1] >= 0, 0, self._k)  # that can be neighbours
        step = max(1, min(256, -(-len(query) // torch.get_num_threads())))
        found: list[tuple[np.ndarray, np.ndarray]] = [(_none(), _none())] * len(query)

        def select(low: int) -> None:
            scores = query[low : low + step] @ target.T
            each = np.arange(len(scores))
            here = slice(low, low + len(scores))
            at = self._own[here] - start
            mine = (at >= 0) & (at < len(target))
            scores[each[mine], at[mine]] = -np.inf
            zero = (scores == 0) & sure[here, None]
            scores[zero & (zero.cumsum(1) > zeros[here, None])] = -np.inf
            low_of = floor[here]
            if len(target) > self._k:
                # Two products of this tile may be off, in opposite directions
                kth = np.partition(scores, -self._k, axis=1)[:, -self._k]
                low_of = np.maximum(low_of, kth - 2 * error[here])
            row, column = np.nonzero((scores >= low_of[:, None]) & ~np.isneginf(scores))
            found[low] = row + low, column + start

        on_cores(select, range(0, len(query), step))
        row, position = (np.concatenate(each) for each in zip(*found, strict=True))
        return row, position

    def _merge(self, row: np.ndarray, position: np.ndarray, exact: np.ndarray) -> None:
        """Keep the k best of what was found before and these pairs."""
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
