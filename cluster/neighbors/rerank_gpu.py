"""Rerank candidates on a GPU: the steps of rerank.py, on rows that the GPU has.

Only the queries whose order or digits float64 leaves undecided are compared on the CPU, in the
fixed order.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.similarity import Metric
from cluster.neighbors.rerank import QueryCandidates, Targets, in_fixed_order, rounding_64

READ = 2**26  # numbers that are compared at once


class RowsOnGpu(NamedTuple):
    """x: float32 [row, dim]; squares: float64 [row], x·x."""

    x: torch.Tensor
    squares: torch.Tensor


class CandidatePairs(NamedTuple):
    """size: int64 [query], the candidates of each; row, position: int64 [pair], by query."""

    size: torch.Tensor
    row: torch.Tensor
    position: torch.Tensor


def rerank_on_gpu(
    queries: RowsOnGpu, pairs: CandidatePairs, rows: RowsOnGpu, among: Targets, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """As rerank. rows: those of `among`."""
    best, value, undecided = _rank(queries, pairs, rows, among.metric, k)
    position, similarity = best.cpu().numpy(), value.cpu().numpy()
    again = torch.nonzero(undecided).ravel()
    if len(again):
        own = undecided[pairs.row]
        start = np.concatenate([[0], np.cumsum(pairs.size[again].cpu().numpy())])
        x, squares = (each[again].cpu().numpy() for each in queries)
        some = QueryCandidates(x, squares, start, pairs.position[own].cpu().numpy())
        which = again.cpu().numpy()
        position[which], similarity[which] = in_fixed_order(some, among, k, np.arange(len(which)))
    return position, similarity + 0.0  # not -0


def _rank(
    queries: RowsOnGpu, pairs: CandidatePairs, rows: RowsOnGpu, metric: Metric, k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions, int64, and similarities, float64, both [query, k]; and bool [query], where they
    are not certain."""
    count, row, position = pairs
    quick = _compare(queries.x, rows.x, row, position, metric == "euclidean")
    lengths = (queries.squares[row] * rows.squares[position]).sqrt_()
    if metric == "cosine":
        quick = torch.where(lengths > 0, quick / lengths, quick)
    scale = quick.abs() if metric == "euclidean" else lengths
    error = torch.ones_like(quick) if metric == "cosine" else scale
    error = error * rounding_64(rows.x.shape[1])
    width = max(k + 1, int(count.max())) if len(count) else k + 1
    first = count.cumsum(0) - count
    column = torch.arange(len(row), device=row.device) - first[row]
    shape = len(count), width
    padded, spread = quick.new_full(shape, -torch.inf), quick.new_zeros(shape)
    place = position.new_full(shape, -1)
    padded[row, column], spread[row, column], place[row, column] = quick, error, position
    value, at = padded.topk(k + 1, dim=1)
    off, best = spread.gather(1, at), place.gather(1, at)
    # inf - inf is no number, and not close
    close = value[:, :-1] - value[:, 1:] <= off[:, :-1] + off[:, 1:]
    value, off = value[:, :k], off[:, :k]
    vague = (value - off).float() != (value + off).float()
    return best[:, :k], value, (close | vague).any(1)


def _compare(
    x: torch.Tensor, y: torch.Tensor, row: torch.Tensor, position: torch.Tensor, euclidean: bool
) -> torch.Tensor:
    """Dot products, or minus the distances, of all pairs: float64 [pair]."""
    out = torch.empty(len(row), dtype=torch.float64, device=x.device)
    step = max(1, READ // x.shape[1])
    for low in range(0, len(row), step):
        here = slice(low, low + step)
        there, query = y.index_select(0, position[here]).double(), x.index_select(0, row[here])
        if euclidean:
            torch.sum(there.sub_(query).square_(), 1, out=out[here])
        else:
            torch.sum(there.mul_(query), 1, out=out[here])
    return out.sqrt_().neg_() if euclidean else out
