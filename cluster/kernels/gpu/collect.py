"""The targets whose product with a query reaches a cut, in one kernel: products are never stored.

Each query has a list of fixed capacity. Tiles append to it in any order; an entry beyond the
capacity is counted, and lost.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

from cluster.kernels.gpu.launch import Blocks, device_of


class Lists(NamedTuple):
    """size: int32 [query], entries so far, more than the capacity if some were lost; position:
    int32 and value: float32 [query, capacity], the targets and their products."""

    size: torch.Tensor
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
        with device_of(query):
            _collect[(-(-n // blocks.rows), -(-count // blocks.columns))](
                query, target, cut, own, lists.size, lists.position, lists.value, n, count, first,
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
    row = start + line
    # Above -inf, which marks what is not there, or was taken
    least = tl.maximum(tl.load(cut + row, mask=inside, other=float("inf")), -3.0e38)
    mine = tl.load(own + row, mask=inside, other=-1)
    number = first + (base + place).to(tl.int32)
    products = tl.where(there[None, :], products, -float("inf"))
    products = tl.where(mine[:, None] == number[None, :], -float("inf"), products)
    reaching = tl.sum((products >= least[:, None]).to(tl.int32), axis=1)
    # Each turn takes the largest of each row, of which few reach the cut: the place of one number a
    # row is all that has to be told between threads
    for _ in range(0, tl.max(reaching, axis=0)):
        top, column = tl.max(products, axis=1, return_indices=True)
        taken = top >= least
        at_place = tl.atomic_add(count + row, 1, mask=taken, sem="relaxed")
        kept = taken & (at_place < capacity)
        where = row * capacity + at_place
        tl.store(position + where, first + base.to(tl.int32) + column, mask=kept)
        tl.store(value + where, top, mask=kept)
        products = tl.where(place[None, :] == column[:, None], -float("inf"), products)
