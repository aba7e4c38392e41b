"""The targets whose product with a query reaches a cut, in one kernel: products are never stored.

Each query has a list of fixed capacity. Tiles append to it in any order; an entry beyond the
capacity is counted, and lost.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

from cluster.kernels.gpu.launch import Blocks


class Lists(NamedTuple):
    """count: int32 [query], entries so far, more than the capacity if some were lost; position:
    int32 and value: float32 [query, capacity], the targets and their products."""

    count: torch.Tensor
    position: torch.Tensor
    value: torch.Tensor


def empty_lists(queries: int, capacity: int, device: torch.device) -> Lists:
    shape = queries, capacity
    return Lists(
        torch.zeros(queries, dtype=torch.int32, device=device),
        torch.empty(shape, dtype=torch.int32, device=device),
        torch.empty(shape, device=device),
    )


def collect(
    query: torch.Tensor,
    target: torch.Tensor,
    cut: torch.Tensor,
    own: torch.Tensor,
    first: int,
    lists: Lists,
    blocks: Blocks,
) -> None:
    """Append to `lists` the targets, from position `first` on, whose product with a query is at
    least its cut.

    query: bfloat16 [query, dim] and target: bfloat16 [target, dim], contiguous, dim a multiple of
    DIMS; cut: float32 [query]; own: int32 [query], the position to leave out, -1 for none.
    """
    (n, dim), count = query.shape, len(target)
    assert all(each.is_contiguous() for each in (query, target, cut, own))
    assert dim % blocks.dims == 0
    if n and count:
        _collect[(-(-n // blocks.rows), -(-count // blocks.columns))](
            query, target, cut, own, lists.count, lists.position, lists.value, n, count, first,
            lists.value.shape[1], D=dim, **blocks.launch_options(),
        )  # fmt: skip


@triton.jit(do_not_specialize=["n", "targets", "first"])
def _collect(  # type: ignore[no-untyped-def]
    query, target, cut, own, count, position, value, n, targets, first, capacity,
    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * BM
    base = tl.program_id(1).to(tl.int64) * BN
    line, place, dim = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    inside, there = line < n - start, place < targets - base
    rows = query + start * D + tl.where(inside, line, 0)[:, None] * D + dim[None, :]
    columns = target + base * D + tl.where(there, place, 0)[None, :] * D + dim[:, None]
    products = tl.zeros([BM, BN], tl.float32)
    for at in range(0, D, BK):
        left = tl.load(rows + at)
        right = tl.load(columns + at)
        if UPCAST:
            left = left.to(tl.float32)
            right = right.to(tl.float32)
        products = tl.dot(left, right, products)
    least = tl.load(cut + start + line, mask=inside, other=float("inf"))
    mine = tl.load(own + start + line, mask=inside, other=-1)
    number = first + (base + place).to(tl.int32)
    reach = (products >= least[:, None]) & (mine[:, None] != number[None, :])
    reach = reach & inside[:, None] & there[None, :]
    if tl.max(tl.max(reach.to(tl.int32), axis=1), axis=0) > 0:
        # Each entry takes its own place: what an atomic of a whole row returns is needed by all
        # threads that share the row, which not every version of Triton tells them
        row = (start + line)[:, None] + tl.zeros([BM, BN], tl.int64)
        at_place = tl.atomic_add(count + row, 1, mask=reach)
        kept = reach & (at_place < capacity)
        where = row * capacity + at_place
        tl.store(position + where, number[None, :] + tl.zeros([BM, BN], tl.int32), mask=kept)
        tl.store(value + where, products, mask=kept)
