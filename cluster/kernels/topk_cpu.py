"""Top-k buffer of a tiled search on a CPU: the targets that may be among each query's k best.

A product is known up to its error: it lies between `low` and `high`. A target is kept if its `high`
reaches the query's cut, the k-th largest `low` so far less a margin. Products are tested in blocks,
most of which hold no candidate.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import bits_of
from cluster.kernels.threads import on_cores

QUERIES = 1024  # queries that a core finishes at once
BLOCK = np.uint64(32)  # products that are tested together
GROUP = 8  # products of the first tile are grouped by 8, and the largest of each finds a first cut
SPARE = 128  # candidates beyond 2k: more than that overflow
UNSORTED = 128  # entries beyond the capacity, after which the cut is raised


def capacity(k: int) -> int:
    """Candidates that a query may have."""
    return 2 * k + SPARE


def bytes_per_query(k: int) -> int:
    """Memory of a buffer for each query."""
    return 12 * (capacity(k) + UNSORTED)


class Products(NamedTuple):
    """numbers: float32, bfloat16 or int32 [query, target]. scales: of int32 numbers, float32
    [query] and [target], the product of which they are to be multiplied with."""

    numbers: torch.Tensor
    scales: tuple[np.ndarray, np.ndarray] | None = None


class _Arrays(NamedTuple):
    """own, size: int64 [query]; margin, cut: float32 [query]; overflowed: bool [query]; low, high:
    float32 [query, place]; position: int32 [query, place], of which `size` places are in use."""

    k: int
    all_or_none: bool
    own: np.ndarray
    margin: np.ndarray
    cut: np.ndarray
    overflowed: np.ndarray
    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    position: np.ndarray


class TopKBuffer:
    """Candidates for the k largest products of each query.

    own: int64 [query], a target to leave out, -1 for none; margin: float32 [query]; all_or_none: a
    query that overflows keeps nothing. Several threads may add products of different queries.
    """

    def __init__(self, own: np.ndarray, margin: np.ndarray, k: int, all_or_none: bool) -> None:
        n, places = len(own), capacity(k) + UNSORTED
        self._arrays = _Arrays(
            k, all_or_none, own.astype(np.int64), margin,
            np.full(n, -np.inf, np.float32), np.zeros(n, bool), np.zeros(n, np.int64),
            np.empty((n, places), np.float32), np.empty((n, places), np.float32),
            np.empty((n, places), np.int32),
        )  # fmt: skip

    def add(self, products: Products, first: int, start: int, error: np.ndarray) -> None:
        """Add the products of the queries from `first` on with the targets from `start` on. error:
        float32 [query of all], by how much they can be off, besides the rounding of results to
        bfloat16."""
        if products.scales is None:
            _add(*bits_of(products.numbers), first, start, error, self._arrays)
        else:
            values = products.numbers.numpy()
            _add_scaled(values, *products.scales, first, start, error, self._arrays)

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The number of candidates of each query (int64), the candidates (int64 [pair]), an upper
        bound of the products of all other targets (float32 [query]), and which queries overflowed
        (bool [query])."""
        buffer = self._arrays
        on_cores(lambda low: _finish(low, buffer), range(0, len(buffer.own), QUERIES))
        used = np.arange(buffer.position.shape[1]) < buffer.size[:, None]
        return buffer.size, buffer.position[used].astype(np.int64), buffer.cut, buffer.overflowed


@compiled
def _add(
    products: np.ndarray, shift: np.int32, rounded: np.float32, first: int, start: int,
    error: np.ndarray, buffer: _Arrays,
) -> None:  # fmt: skip
    targets = products.shape[1]
    group, bits = np.empty(targets // GROUP, np.float32), np.empty(targets, np.int32)
    value = bits.view(np.float32)
    for at in range(np.uint64(len(products))):
        for c in range(np.uint64(targets)):
            bits[c] = np.int32(products[at, c]) << shift
        _add_query(value, rounded, group, first + int(at), start, error, buffer)


@compiled
def _add_scaled(
    products: np.ndarray, row_scale: np.ndarray, column_scale: np.ndarray, first: int, start: int,
    error: np.ndarray, buffer: _Arrays,
) -> None:  # fmt: skip
    targets = products.shape[1]
    group, value = np.empty(targets // GROUP, np.float32), np.empty(targets, np.float32)
    for at in range(np.uint64(len(products))):
        scale = row_scale[at]
        for c in range(np.uint64(targets)):
            value[c] = np.float32(products[at, c]) * column_scale[c] * scale
        _add_query(value, np.float32(0), group, first + int(at), start, error, buffer)


@compiled
def _add_query(
    value: np.ndarray, rounded: np.float32, group: np.ndarray, query: int, start: int,
    error: np.ndarray, buffer: _Arrays,
) -> None:  # fmt: skip
    """Add the products of one query. value: float32 [target], each off by the share `rounded`."""
    targets: Any = np.uint64(len(value))
    if buffer.own[query] >= start and buffer.own[query] < start + len(value):
        value[buffer.own[query] - start] = -np.inf
    if buffer.cut[query] == -np.inf and len(group) >= buffer.k:
        _first_cut(value, rounded, group, query, error, buffer)
    least = _least_product(buffer.cut[query], error[query], rounded)
    for block in range(np.uint64(0), targets, BLOCK):
        stop: Any = min(block + BLOCK, targets)
        some: Any = 0
        for c in range(block, stop):
            some |= np.int64(value[c] >= least)
        if not some:
            continue
        for c in range(block, stop):
            if value[c] >= least and value[c] > -np.inf:
                at, rounding = buffer.size[query], abs(value[c]) * rounded + error[query]
                buffer.low[query, at] = value[c] - rounding
                buffer.high[query, at] = value[c] + rounding
                buffer.position[query, at] = start + np.int64(c)
                buffer.size[query] = at + 1
                if at + 1 == buffer.low.shape[1]:
                    _raise_cut(query, buffer)
                    least = _least_product(buffer.cut[query], error[query], rounded)


@compiled
def _first_cut(
    value: np.ndarray, rounded: np.float32, group: np.ndarray, query: int, error: np.ndarray,
    buffer: _Arrays,
) -> None:  # fmt: skip
    """The cut by the largest product of each group: k products reach the k-th of these."""
    width = np.uint64(len(group))
    for c in range(width):
        group[c] = value[c]
    for block in range(np.uint64(1), np.uint64(GROUP)):
        shift = block * width
        for c in range(width):
            group[c] = value[shift + c] if value[shift + c] > group[c] else group[c]
    kth = np.partition(group, len(group) - buffer.k)[len(group) - buffer.k]
    buffer.cut[query] = kth - abs(kth) * rounded - error[query] - buffer.margin[query]


@compiled
def _least_product(cut: np.float32, error: np.float32, rounded: np.float32) -> np.float32:
    """The least product whose upper bound may reach the cut."""
    if np.isinf(cut):
        return cut
    least = cut - error
    return least / (np.float32(1) + (rounded if least > 0 else -rounded))


@compiled
def _raise_cut(query: int, buffer: _Arrays) -> None:
    """Raise the cut of a query, and keep the candidates that reach it."""
    many, k = buffer.size[query], buffer.k
    if many >= k:
        kth = np.partition(buffer.low[query, :many], many - k)[many - k]
        buffer.cut[query] = max(buffer.cut[query], kth - buffer.margin[query])
    kept = 0
    for at in range(many):
        if buffer.high[query, at] >= buffer.cut[query]:
            _copy_entry(query, kept, at, buffer)
            kept += 1
    most = 2 * k + SPARE
    if kept > most:
        buffer.overflowed[query] = True
        if buffer.all_or_none:
            buffer.cut[query], kept = np.inf, 0
        else:
            order = np.argsort(-buffer.high[query, :kept], kind="mergesort")
            buffer.cut[query] = max(buffer.cut[query], buffer.high[query, order[most]])
            for to, at in enumerate(np.sort(order[:most])):
                _copy_entry(query, to, at, buffer)
            kept = most
    buffer.size[query] = kept


@compiled
def _copy_entry(query: int, to: int, at: int, buffer: _Arrays) -> None:
    buffer.low[query, to], buffer.high[query, to] = buffer.low[query, at], buffer.high[query, at]
    buffer.position[query, to] = buffer.position[query, at]


@compiled
def _finish(low: int, buffer: _Arrays) -> None:
    for query in range(low, min(low + QUERIES, len(buffer.own))):
        _raise_cut(query, buffer)
