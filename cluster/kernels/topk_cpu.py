"""What queries have found so far, tile after tile, of the targets that may be theirs: on a CPU.

A product is known up to its error: at least `low`, at most `high`. Every target is kept whose high
reaches the cut of the query, which is its k-th largest low so far, less a margin. Products are
looked at in blocks, most of which hold none.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import bits_of
from cluster.kernels.threads import on_cores

QUERIES = 1024  # that a core ends at once
BLOCK = np.uint64(64)  # products that are looked at together
GROUP = 8  # products of the first tile, whose largest stands for them to find a cut
ENOUGH = 128  # more than 2k: so many that come near are too many
MORE = 128  # are kept beyond that, until it is worth while to raise the cut


def most_of(k: int) -> int:
    """How many may come near."""
    return 2 * k + ENOUGH


def bytes_of(k: int) -> int:
    """What a query takes."""
    return 12 * (most_of(k) + MORE)


class _Pool(NamedTuple):
    """own, size: int64 [query]; margin, cut: float32 [query]; lost: bool [query]; low, high:
    float32 [query, place], position: int32 [query, place], of the first `size` places."""

    k: int
    all_or_none: bool
    own: np.ndarray
    margin: np.ndarray
    cut: np.ndarray
    lost: np.ndarray
    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    position: np.ndarray


class Pool:
    """The targets whose products may be among each query's k largest, or come near.

    own: int64 [query], a target to leave out, -1 for none; margin: float32 [query]; all_or_none: a
    query to which too many come near keeps nothing. Several threads may add, of different queries.
    """

    def __init__(self, own: np.ndarray, margin: np.ndarray, k: int, all_or_none: bool) -> None:
        n, room = len(own), most_of(k) + MORE
        self._pool = _Pool(
            k, all_or_none, own.astype(np.int64), margin,
            np.full(n, -np.inf, np.float32), np.zeros(n, bool), np.zeros(n, np.int64),
            np.empty((n, room), np.float32), np.empty((n, room), np.float32),
            np.empty((n, room), np.int32),
        )  # fmt: skip

    def add(self, products: torch.Tensor, first: int, start: int, off: np.ndarray) -> None:
        """Look at the products (float32 or bfloat16 [query, target]) of the queries from `first` on
        with the targets from `start` on. off: float32 [query of all], by how much they can be off,
        beside the rounding of results to bfloat16."""
        _add(*bits_of(products), first, start, off, self._pool)

    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """How many candidates each query has (int64), they (int64 [pair]), what the product of no
        other target passes (float32 [query]), and the lost."""
        pool = self._pool
        on_cores(lambda low: _finish(low, pool), range(0, len(pool.own), QUERIES))
        there = np.arange(pool.position.shape[1]) < pool.size[:, None]
        return pool.size, pool.position[there].astype(np.int64), pool.cut, pool.lost


@compiled
def _add(
    products: np.ndarray, shift: np.int32, rounded: np.float32, first: int, start: int,
    off: np.ndarray, pool: _Pool,
) -> None:  # fmt: skip
    targets = products.shape[1]
    group, bits = np.empty(targets // GROUP, np.float32), np.empty(targets, np.int32)
    value = bits.view(np.float32)
    for at in range(np.uint64(len(products))):
        for c in range(np.uint64(targets)):
            bits[c] = np.int32(products[at, c]) << shift
        _take(value, rounded, group, first + int(at), start, off, pool)


@compiled
def _take(
    value: np.ndarray, rounded: np.float32, group: np.ndarray, query: int, start: int,
    off: np.ndarray, pool: _Pool,
) -> None:  # fmt: skip
    """Look at all products (value: float32 [target], off by that share) of one query."""
    targets: Any = np.uint64(len(value))
    if pool.own[query] >= start and pool.own[query] < start + len(value):
        value[pool.own[query] - start] = -np.inf
    if pool.cut[query] == -np.inf and len(group) >= pool.k:
        _first_cut(value, rounded, group, query, off, pool)
    least = _least(pool.cut[query], off[query], rounded)
    for block in range(np.uint64(0), targets, BLOCK):
        stop: Any = min(block + BLOCK, targets)
        some: Any = 0
        for c in range(block, stop):
            some |= np.int64(value[c] >= least)
        if not some:
            continue
        for c in range(block, stop):
            if value[c] >= least and value[c] > -np.inf:
                at, rounding = pool.size[query], abs(value[c]) * rounded + off[query]
                pool.low[query, at] = value[c] - rounding
                pool.high[query, at] = value[c] + rounding
                pool.position[query, at] = start + np.int64(c)
                pool.size[query] = at + 1
                if at + 1 == pool.low.shape[1]:
                    _raise(query, pool)
                    least = _least(pool.cut[query], off[query], rounded)


@compiled
def _first_cut(
    value: np.ndarray, rounded: np.float32, group: np.ndarray, query: int, off: np.ndarray,
    pool: _Pool,
) -> None:  # fmt: skip
    """The largest of each group is a product of its own, so k products reach the k-th of these."""
    width = np.uint64(len(group))
    for c in range(width):
        group[c] = value[c]
    for block in range(np.uint64(1), np.uint64(GROUP)):
        shift = block * width
        for c in range(width):
            group[c] = value[shift + c] if value[shift + c] > group[c] else group[c]
    kth = np.partition(group, len(group) - pool.k)[len(group) - pool.k]
    pool.cut[query] = kth - abs(kth) * rounded - off[query] - pool.margin[query]


@compiled
def _least(cut: np.float32, off: np.float32, rounded: np.float32) -> np.float32:
    """The least product that may reach the cut."""
    if np.isinf(cut):
        return cut
    least = cut - off
    return least / (np.float32(1) + (rounded if least > 0 else -rounded))


@compiled
def _raise(query: int, pool: _Pool) -> None:
    """Raise the cut of a query, and keep what reaches it."""
    many, k = pool.size[query], pool.k
    if many >= k:
        kth = np.partition(pool.low[query, :many], many - k)[many - k]
        pool.cut[query] = max(pool.cut[query], kth - pool.margin[query])
    kept = 0
    for at in range(many):
        if pool.high[query, at] >= pool.cut[query]:
            _put(query, kept, at, pool)
            kept += 1
    most = 2 * k + ENOUGH
    if kept > most:
        pool.lost[query] = True
        if pool.all_or_none:
            pool.cut[query], kept = np.inf, 0
        else:
            order = np.argsort(-pool.high[query, :kept], kind="mergesort")
            pool.cut[query] = max(pool.cut[query], pool.high[query, order[most]])
            for to, at in enumerate(np.sort(order[:most])):
                _put(query, to, at, pool)
            kept = most
    pool.size[query] = kept


@compiled
def _put(query: int, to: int, at: int, pool: _Pool) -> None:
    pool.low[query, to], pool.high[query, to] = pool.low[query, at], pool.high[query, at]
    pool.position[query, to] = pool.position[query, at]


@compiled
def _finish(low: int, pool: _Pool) -> None:
    for query in range(low, min(low + QUERIES, len(pool.own))):
        _raise(query, pool)
