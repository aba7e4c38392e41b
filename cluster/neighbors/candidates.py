"""Candidate neighbours: the targets that may be among the k largest products of each query.

Nearly all of the work is the matrix product, which may be of low precision
(`cluster.kernels.low_precision`): a target is dropped only if it cannot be one of the k given the
error of its product and of the k-th."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.low_precision import MatmulPrecision
from cluster.kernels.threads import on_cores
from cluster.kernels.topk_cpu import TopKBuffer
from cluster.kernels.topk_gpu import TopKBufferGpu
from cluster.neighbors.operands import operand
from cluster.vectors.device import cells_on_gpu

ROWS = 512  # queries in one product of a core

Tile = tuple[int, np.ndarray | torch.Tensor]  # its first target, and float32 [target, dim]


class Queries(NamedTuple):
    """vectors: float32 [query, dim], in the product space; k: how many targets each query wants;
    margin: float32 [query], how far below the k-th largest product a candidate may lie; own: int64
    [query], a target to leave out, -1 for none."""

    vectors: np.ndarray
    k: int
    margin: np.ndarray
    own: np.ndarray


class Candidates(NamedTuple):
    """start: int64 [query + 1] and position: int64 [pair]: the candidates of query i are
    position[start[i]:start[i + 1]]; floor: float32 [query], an upper bound of the products of all
    other targets, -inf where there are none; overflowed: bool [query], whether a query had too many
    candidates, so that some, or all, were dropped."""

    start: np.ndarray
    position: np.ndarray
    floor: np.ndarray
    overflowed: np.ndarray


def find_candidates(
    queries: Queries,
    tiles: Iterable[Tile],
    *,
    device: str,
    precision: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    """All targets whose product with a query is less than `margin` below the k-th largest, except
    its `own`. Low-precision products on a CPU compute margins of their own, which are narrower.

    progress is called after each tile. A query overflows when more than 2k + 128 targets come that
    near: full-precision products then keep the largest, low-precision ones none.
    """
    search = _on_gpu if device.startswith("cuda") else _on_cpu
    return search(queries, tiles, device, precision, progress)


def _on_gpu(
    queries: Queries,
    tiles: Iterable[Tile],
    device: str,
    precision: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    told = queries.vectors, queries.margin, queries.own
    q, margin, own = (torch.from_numpy(each).to(device) for each in told)
    buffers: list[TopKBufferGpu] = []
    for start, tile in tiles:
        target = torch.as_tensor(tile, device=device)
        if not buffers:
            step = max(16, cells_on_gpu(device) // len(target))
            step = -(-len(q) // max(1, -(-len(q) // step)))  # of about equal size
            pieces = zip(own.split(step), margin.split(step), strict=True)
            buffers = [TopKBufferGpu(*each, queries.k, precision.error > 0) for each in pieces]
        for buffer, some in zip(buffers, q.split(step), strict=True):
            with precision.applied():
                scores = some @ target.T
            buffer.add(scores, start)
        progress()
    return _concatenate([buffer.found() for buffer in buffers])


def _on_cpu(
    queries: Queries,
    tiles: Iterable[Tile],
    device: str,
    precision: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    """Each core computes products of its own: less waiting when other programs use the CPU."""
    left = operand(torch.from_numpy(queries.vectors), precision.precision)
    margin = np.zeros_like(queries.margin) if precision.error else queries.margin
    buffer = TopKBuffer(queries.own, margin, queries.k, precision.error > 0)
    for start, tile in tiles:
        right = operand(torch.as_tensor(tile), precision.precision)
        error = left.error(right, queries.vectors.shape[1])
        work = partial(_add_products, buffer, left, right, start, error)
        with precision.applied():
            on_cores(work, range(0, len(queries.vectors), ROWS))
        progress()
    return _concatenate([buffer.found()])


def _add_products(
    buffer: TopKBuffer, left: Any, right: Any, start: int, error: np.ndarray, low: int
) -> None:
    """Add the products of the queries from `low` on with a tile."""
    buffer.add(left.product(slice(low, low + ROWS), right), low, start, error)


def _concatenate(found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Candidates:
    """The candidates of several buffers, one after the other (see TopKBuffer.found)."""
    if not found:
        return Candidates(np.zeros(1, np.int64), *(np.empty(0, t) for t in (int, "f4", bool)))
    count, position, floor, overflowed = (np.concatenate(each) for each in zip(*found, strict=True))
    start = np.concatenate([[0], np.cumsum(count)])
    return Candidates(start, position, floor, overflowed)
