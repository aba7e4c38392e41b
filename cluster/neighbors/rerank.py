"""The first k of each query's candidates, ordered by similarities that are the same to the bit.

The order of the sum that makes a similarity is promised (`cluster.kernels.similarity`), and a sum
in that order is slow. So products of a vector and a matrix in float64 come first, which are off by
less than `_doubt`: where that leaves no doubt about the order, nor about the digits of float32,
they say all there is to say. The other queries, very few but for those with equal neighbours, are
compared pair by pair."""

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.similarity import Metric, Survey, similarities
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import ArrayRows, Rows

READ = 2**18  # numbers that a core reads at once
QUERIES = 512  # ordered by a core at once
BLOCK = 4096  # queries, with all their candidates, in memory at once
GPU_READ = 2**25


def rerank(
    x: np.ndarray,
    squares: np.ndarray,
    start: np.ndarray,
    position: np.ndarray,
    among: Rows,
    facts: Survey,
    metric: Metric,
    k: int,
    on_gpu: torch.Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """position: int64 [query, k], similarity: float64 [query, k] of whose float32 each digit is
    sure; -1 and -inf where a query has fewer. Ties: the lower position.

    x: float32 [query, dim]; squares: float64 [query]; the candidates of query i are
    position[start[i]:start[i + 1]] (int64 [query + 1] and [pair]), rows of `among`; on_gpu: those
    rows, float32 [target, dim], if a GPU has them.
    """
    best, similarity = np.empty((len(x), k), np.int64), np.empty((len(x), k))
    for low in range(0, len(x), BLOCK):
        here = slice(low, min(low + BLOCK, len(x)))
        pairs = slice(start[here.start], start[here.stop])
        begin = start[here.start : here.stop + 1] - pairs.start
        best[here], similarity[here] = _ranked(
            *(x[here], squares[here], begin, position[pairs], among, facts, metric, k, on_gpu)
        )
    return best, similarity


def _ranked(
    x: np.ndarray,
    squares: np.ndarray,
    start: np.ndarray,
    position: np.ndarray,
    among: Rows,
    facts: Survey,
    metric: Metric,
    k: int,
    on_gpu: torch.Tensor | None,
) -> tuple[np.ndarray, np.ndarray]:
    if on_gpu is None:
        quick = _on_cpu(x, start, position, among, metric)
    else:
        quick = _on_gpu(x, start, position, on_gpu, metric)
    row = np.repeat(np.arange(len(x)), np.diff(start))
    length = np.sqrt(squares[row] * facts.squares[position]) if metric != "euclidean" else quick
    if metric == "cosine":
        np.divide(quick, length, out=quick, where=length > 0)
    off = _doubt(x.shape[1]) * (np.ones(len(row)) if metric == "cosine" else np.abs(length))
    best = np.full((len(x), k), -1, np.int64)
    similarity = np.full((len(x), k), -np.inf)
    unsure = np.zeros(len(x), bool)

    def part(low: int) -> None:
        high = min(low + QUERIES, len(x))
        here = slice(start[low], start[high])
        padded, place, spread = _padded(
            start[low : high + 1], quick[here], position[here], off[here]
        )
        order = np.argsort(-padded, axis=1, kind="stable")[:, : k + 1]
        value, doubt = np.take_along_axis(padded, order, 1), np.take_along_axis(spread, order, 1)
        with np.errstate(invalid="ignore"):  # inf less inf
            close = value[:, :-1] - value[:, 1:] <= doubt[:, :-1] + doubt[:, 1:]
            value, doubt = value[:, :k], doubt[:, :k]
            vague = (value - doubt).astype(np.float32) != (value + doubt).astype(np.float32)
        width = value.shape[1]
        unsure[low:high] = close.any(1) | vague.any(1)
        similarity[low:high, :width] = value
        best[low:high, :width] = np.take_along_axis(place, order[:, :k], 1)

    on_cores(part, range(0, len(x), QUERIES))
    again = np.flatnonzero(unsure)
    if len(again):
        best[again], similarity[again] = _exactly(
            x, squares, start, position, among, facts, metric, k, again
        )
    return best, similarity + 0.0  # not -0


def _doubt(dim: int) -> float:
    """How far apart two sums of so many products in float64, in any order, can be."""
    return (dim + 16) * 2.0**-51


def _on_cpu(
    x: np.ndarray, start: np.ndarray, position: np.ndarray, among: Rows, metric: Metric
) -> np.ndarray:
    out = np.empty(len(position))
    if not len(position):
        return out
    step = max(1, READ // among.dim)
    starts = np.unique(np.searchsorted(start, np.arange(0, len(position), step), "right") - 1)
    ends = dict(zip(starts.tolist(), [*starts[1:].tolist(), len(x)], strict=True))

    def part(low: int) -> None:
        pairs = slice(start[low], start[ends[low]])
        if isinstance(among, ArrayRows):  # nothing needs copying
            y, row = among.array, position[pairs]
        else:
            y = among.take(position[pairs])
            row = np.arange(len(y))
        _compare(x, start[low : ends[low] + 1], low, y, row, metric == "euclidean", out[pairs])

    on_cores(part, starts.tolist())
    return out


@compiled
def _compare(
    x: np.ndarray, start: np.ndarray, first: int, y: np.ndarray, row: np.ndarray, euclidean: bool,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Of the queries from `first` on with rows of y, as many as `start` says: float64 [pair]."""
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


def _on_gpu(
    x: np.ndarray, start: np.ndarray, position: np.ndarray, among: torch.Tensor, metric: Metric
) -> np.ndarray:
    queries = torch.from_numpy(x).to(among.device)
    row = torch.from_numpy(np.repeat(np.arange(len(x)), np.diff(start))).to(among.device)
    there = torch.from_numpy(position).to(among.device)
    out = torch.empty(len(position), dtype=torch.float64, device=among.device)
    for low in range(0, len(position), step := max(1, GPU_READ // x.shape[1])):
        here = slice(low, low + step)
        y, query = among[there[here]].double(), queries[row[here]].double()
        if metric == "euclidean":
            out[here] = -(y - query).square().sum(1).sqrt()
        else:
            out[here] = (y * query).sum(1)
    return out.cpu().numpy()


def _padded(
    start: np.ndarray, value: np.ndarray, position: np.ndarray, off: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row a query: values, -inf where there are no more; positions, -1; and doubts, 0."""
    size = np.diff(start)
    row = np.repeat(np.arange(len(size)), size)
    column = np.arange(len(value)) - np.repeat(start[:-1] - start[0], size)
    shape = len(size), int(size.max(initial=0))
    padded, place, spread = np.full(shape, -np.inf), np.full(shape, -1, np.int64), np.zeros(shape)
    padded[row, column], place[row, column], spread[row, column] = value, position, off
    return padded, place, spread


def _exactly(
    x: np.ndarray,
    squares: np.ndarray,
    start: np.ndarray,
    position: np.ndarray,
    among: Rows,
    facts: Survey,
    metric: Metric,
    k: int,
    query: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The same for these queries (int64 [again]), pair by pair in the promised order."""
    size = np.diff(start)[query]
    begin = np.concatenate([[0], np.cumsum(size)])
    pair = np.arange(begin[-1]) - np.repeat(begin[:-1] - start[query], size)
    exact = similarities(x, squares, np.repeat(query, size), among, facts, position[pair], metric)
    padded, place, _ = _padded(begin, exact, position[pair], np.zeros(len(pair)))
    order = np.lexsort((place, -padded), axis=1)[:, :k]
    best, similarity = np.full((len(query), k), -1), np.full((len(query), k), -np.inf)
    best[:, : order.shape[1]] = np.take_along_axis(place, order, 1)
    similarity[:, : order.shape[1]] = np.take_along_axis(padded, order, 1)
    return best, similarity
