"""Candidates for the k largest products of each query, by the fused kernel: a rising cut.

A target is a candidate if its product reaches the query's cut: the k-th largest product so far less
a margin. A first cut comes from evenly spaced targets, since equal ones often follow one another.
Where more reach the cut than a list can hold, what is in the list raises it, and the query takes
the tile again.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from cluster.kernels.gpu.available import fused_blocks
from cluster.kernels.gpu.collect import Lists, collect, empty_lists
from cluster.kernels.low_precision import full_precision
from cluster.vectors.device import cells_on_gpu

TARGETS = 2**16  # after so many the cut is raised
FIRST, SECOND = 2**11, 2**15  # evenly spaced targets that find a first cut, and a better one
CAPACITY = 512  # of a list, at least
TURNS = 8  # that a query takes a tile, at most


class Reached(NamedTuple):
    """size: int64 [query]; position: int32 [query, place], of which `size` are candidates, the
    largest products first; overflowed: bool [query], queries with too many candidates, whose lists
    are empty."""

    size: torch.Tensor
    position: torch.Tensor
    overflowed: torch.Tensor


class _Queries(NamedTuple):
    """vector: bfloat16 [query, dim]; own: int32 [query]; margin, cut: float32 [query]."""

    vector: torch.Tensor
    own: torch.Tensor
    margin: torch.Tensor
    cut: torch.Tensor

    def take(self, rows: torch.Tensor) -> "_Queries":
        return _Queries._make(each[rows] for each in self)


def fused_candidates(
    query: torch.Tensor,
    target: torch.Tensor,
    own: torch.Tensor,
    margin: torch.Tensor,
    k: int,
    progress: Callable[[], None],
) -> Reached:
    """All targets whose product is less than `margin` below the k-th largest, except `own`.

    query: bfloat16 [query, dim]; target: bfloat16 [target, dim], both padded_bf16; own: int64
    [query], -1 for none; margin: float32 [query], twice the error of products. progress is called
    after each tile of TARGETS.
    """
    capacity = max(CAPACITY, 1 << (8 * k - 1).bit_length())
    told = _Queries(query, own.int(), margin, torch.full_like(margin, -torch.inf))
    told = told._replace(cut=_first_cut(told, target, k))
    lists = empty_lists(len(query), capacity, query.device)
    if len(target) > 2 * SECOND:
        sample = _spaced(len(target), SECOND, query.device)
        among = told._replace(own=_place_in(sample, told.own))
        _add(among, target[sample], 0, k, lists)
        lists.size.zero_()
    for low in range(0, len(target), TARGETS):
        _add(told, target[low : low + TARGETS], low, k, lists)
        progress()
    lost = torch.isposinf(told.cut)
    return Reached(lists.size.long(), lists.position, lost)


def _first_cut(queries: _Queries, target: torch.Tensor, k: int) -> torch.Tensor:
    """A cut by float32 products with a sample: float32 [query]."""
    sample = _spaced(len(target), FIRST, target.device)
    if len(sample) < k:
        return queries.cut
    some, own = target[sample].float(), _place_in(sample, queries.own)
    place, found = torch.arange(len(sample), device=own.device), []
    step = max(1, cells_on_gpu(target.device) // len(sample))
    for low in range(0, len(own), step):
        here = slice(low, low + step)
        with full_precision(target.device).applied():
            products = queries.vector[here].float() @ some.T
        products.masked_fill_(own[here, None] == place, -torch.inf)
        found.append(products.topk(k, dim=1).values[:, -1])
    return torch.cat(found) - queries.margin


def _add(queries: _Queries, target: torch.Tensor, first: int, k: int, lists: Lists) -> None:
    """Add a tile of targets to the lists, raise the cuts, in place, and keep what reaches them."""
    before, blocks = lists.size.clone(), fused_blocks(target.device)
    assert blocks is not None
    capacity = lists.value.shape[1]
    vector, own, _, cut = queries
    collect(vector, target, cut, own, first, lists, blocks)
    for turn in range(TURNS):
        full = torch.nonzero(lists.size > capacity).ravel()
        if not len(full):
            break
        some = queries.take(full)
        old = Lists._make(each[full] for each in lists)
        higher = _filled(old).topk(k, dim=1).values[:, -1] - some.margin
        risen = (higher > some.cut) & (turn < TURNS - 1)
        some.cut.copy_(torch.where(risen, higher, torch.inf))
        # What the list held before this tile
        old = old._replace(size=before[full])
        again = _reaching(*_filled(old).sort(dim=1, descending=True), old.position, some.cut)
        before[full] = again.size
        collect(some.vector, target, some.cut, some.own, first, again, blocks)
        cut[full] = some.cut
        for whole, part in zip(lists, again, strict=True):
            whole[full] = part
    value, order = _filled(lists).sort(dim=1, descending=True)
    torch.maximum(cut, value[:, k - 1] - queries.margin, out=cut)
    for whole, part in zip(lists, _reaching(value, order, lists.position, cut), strict=True):
        whole.copy_(part)


def _reaching(
    value: torch.Tensor, order: torch.Tensor, position: torch.Tensor, cut: torch.Tensor
) -> Lists:
    """The entries that reach the cut, of values that fall and their order in the list."""
    count = ((value >= cut[:, None]) & (value > -torch.inf)).sum(1, dtype=torch.int32)
    return Lists(count, position.gather(1, order), value)


def _filled(lists: Lists) -> torch.Tensor:
    """The values, -inf where there is none."""
    place = torch.arange(lists.value.shape[1], device=lists.value.device)
    return lists.value.masked_fill(place >= lists.size[:, None], -torch.inf)


def _spaced(count: int, most: int, device: torch.device) -> torch.Tensor:
    """Positions of at most `most` evenly spaced targets, int64, rising."""
    size = min(count, most)
    return torch.arange(size, device=device) * count // max(1, size)


def _place_in(sample: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """The place of each position in the sample, -1 where it is not there: int32."""
    at = torch.searchsorted(sample, position.long()).clamp_(max=len(sample) - 1)
    return torch.where(sample[at] == position, at, -1).int()
