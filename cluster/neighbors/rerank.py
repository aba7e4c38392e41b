"""Rerank the candidates of each query by exact similarities, the same to the bit everywhere.

The order of the sum that makes a similarity is fixed (`cluster.kernels.similarity`), and a sum in
that order is slow. Similarities are therefore first computed in float64 in any order, which is off
by less than `rounding_64`. Where that decides both the order of the neighbours and the digits of
float32, they are final. The other queries, very few unless neighbours are equal, are compared pair
by pair in the fixed order."""

from typing import NamedTuple

import numpy as np

from cluster.kernels.jit import compiled
from cluster.kernels.similarity import Metric, Survey, similarities
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import ArrayRows, Rows

READ = 2**18  # numbers that a core reads at once
QUERIES = 512  # queries that a core sorts at once
BLOCK = 4096  # queries, with all their candidates, in memory at once


class QueryCandidates(NamedTuple):
    """x: float32 [query, dim]; squares: float64 [query], x·x; start: int64 [query + 1] and
    position: int64 [pair]: the candidates of query i are position[start[i]:start[i + 1]]."""

    x: np.ndarray
    squares: np.ndarray
    start: np.ndarray
    position: np.ndarray


class Targets(NamedTuple):
    """The rows that positions mean, their survey, and the metric."""

    rows: Rows
    facts: Survey
    metric: Metric


def rerank(queries: QueryCandidates, among: Targets, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar candidates of each query, most similar first, ties by the lower position.

    position: int64 [query, k]; similarity: float64 [query, k], exact once rounded to float32; -1
    and -inf where a query has fewer candidates.
    """
    x, squares, start, position = queries
    best, similarity = np.empty((len(x), k), np.int64), np.empty((len(x), k))
    for low in range(0, len(x), BLOCK):
        here = slice(low, min(low + BLOCK, len(x)))
        pairs = slice(start[here.start], start[here.stop])
        begin = start[here.start : here.stop + 1] - pairs.start
        block = QueryCandidates(x[here], squares[here], begin, position[pairs])
        best[here], similarity[here] = _rerank_block(block, among, k)
    return best, similarity


def _rerank_block(
    queries: QueryCandidates, among: Targets, k: int
) -> tuple[np.ndarray, np.ndarray]:
    x, squares, start, position = queries
    quick = _compare_all(queries, among)
    row = np.repeat(np.arange(len(x)), np.diff(start))
    length = quick
    if among.metric != "euclidean":
        length = np.sqrt(squares[row] * among.facts.squares[position])
    if among.metric == "cosine":
        np.divide(quick, length, out=quick, where=length > 0)
    scale = np.ones(len(row)) if among.metric == "cosine" else np.abs(length)
    error = rounding_64(x.shape[1]) * scale
    best = np.full((len(x), k), -1, np.int64)
    similarity = np.full((len(x), k), -np.inf)
    undecided = np.zeros(len(x), bool)

    def sort(low: int) -> None:
        high = min(low + QUERIES, len(x))
        here = slice(start[low], start[high])
        padded, place, spread = _padded(
            start[low : high + 1], quick[here], position[here], error[here]
        )
        order = np.argsort(-padded, axis=1, kind="stable")[:, : k + 1]
        value, off = np.take_along_axis(padded, order, 1), np.take_along_axis(spread, order, 1)
        with np.errstate(invalid="ignore"):  # inf - inf
            close = value[:, :-1] - value[:, 1:] <= off[:, :-1] + off[:, 1:]
            value, off = value[:, :k], off[:, :k]
            vague = (value - off).astype(np.float32) != (value + off).astype(np.float32)
        width = value.shape[1]
        undecided[low:high] = close.any(1) | vague.any(1)
        similarity[low:high, :width] = value
        best[low:high, :width] = np.take_along_axis(place, order[:, :k], 1)

    on_cores(sort, range(0, len(x), QUERIES))
    again = np.flatnonzero(undecided)
    if len(again):
        best[again], similarity[again] = in_fixed_order(queries, among, k, again)
    return best, similarity + 0.0  # not -0


def rounding_64(dim: int) -> float:
    """The relative difference of two sums of `dim` products in float64, in any order, at most."""
    return (dim + 16) * 2.0**-51


def _compare_all(queries: QueryCandidates, among: Targets) -> np.ndarray:
    """Dot products, or minus the distances, of all pairs: float64 [pair]."""
    x, _, start, position = queries
    rows, out = among.rows, np.empty(len(position))
    if not len(position):
        return out
    step = max(1, READ // rows.dim)
    starts = np.unique(np.searchsorted(start, np.arange(0, len(position), step), "right") - 1)
    ends = dict(zip(starts.tolist(), [*starts[1:].tolist(), len(x)], strict=True))
    euclidean = among.metric == "euclidean"

    def compare(low: int) -> None:
        pairs = slice(start[low], start[ends[low]])
        if isinstance(rows, ArrayRows):  # without a copy
            y, row = rows.array, position[pairs]
        else:
            y = rows.take(position[pairs])
            row = np.arange(len(y))
        _compare(x, start[low : ends[low] + 1], low, y, row, euclidean, out[pairs])

    on_cores(compare, starts.tolist())
    return out


@compiled
def _compare(
    x: np.ndarray, start: np.ndarray, first: int, y: np.ndarray, row: np.ndarray, euclidean: bool,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Compare the queries from `first` on with rows of y, as many as `start` says: writes float64
    [pair]."""
    dim = np.uint64(x.shape[1])
    query = np.empty(dim, np.float64)
    for i in range(len(start) - 1):
        for d in range(dim):
            query[d] = x[first + i, d]
        for pair in range(start[i] - start[0], start[i + 1] - start[0]):
            total, at = 0.0, row[pair]
            if euclidean:
                for d in range(dim):
                    apart = np.float64(y[at, d]) - query[d]
                    total += apart * apart
                out[pair] = -np.sqrt(total)
            else:
                for d in range(dim):
                    total += np.float64(y[at, d]) * query[d]
                out[pair] = total


def _padded(
    start: np.ndarray, value: np.ndarray, position: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row per query: values, padded with -inf; positions, with -1; and errors, with 0."""
    size = np.diff(start)
    row = np.repeat(np.arange(len(size)), size)
    column = np.arange(len(value)) - np.repeat(start[:-1] - start[0], size)
    shape = len(size), int(size.max(initial=0))
    padded, place, spread = np.full(shape, -np.inf), np.full(shape, -1, np.int64), np.zeros(shape)
    padded[row, column], place[row, column], spread[row, column] = value, position, error
    return padded, place, spread


def in_fixed_order(
    queries: QueryCandidates, among: Targets, k: int, query: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As rerank, for these queries (int64 [again]), pair by pair with the fixed order of sums."""
    x, squares, start, position = queries
    size = np.diff(start)[query]
    begin = np.concatenate([[0], np.cumsum(size)])
    pair = np.arange(begin[-1]) - np.repeat(begin[:-1] - start[query], size)
    rows, facts, metric = among
    exact = similarities(x, squares, np.repeat(query, size), rows, facts, position[pair], metric)
    padded, place, _ = _padded(begin, exact, position[pair], np.zeros(len(pair)))
    order = np.lexsort((place, -padded), axis=1)[:, :k]
    best, similarity = np.full((len(query), k), -1), np.full((len(query), k), -np.inf)
    best[:, : order.shape[1]] = np.take_along_axis(place, order, 1)
    similarity[:, : order.shape[1]] = np.take_along_axis(padded, order, 1)
    return best, similarity
