"""The three lowest scores of each vector among centroids, in one kernel: a fused product.

The scores |c|² - 2 x·c of a tile of vectors and centroids exist in registers only. After each tile
of centroids its three lowest are merged with those so far, unless none is below the third.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl

from cluster.kernels.gpu.launch import Blocks, device_of


class Lowest(NamedTuple):
    """cluster: int32 [image, run, 2], those of the two lowest scores, where as many are finite;
    score: float32 [image, run, 3], the three lowest, +inf where there are fewer. Ties: the lower
    cluster first."""

    cluster: torch.Tensor
    score: torch.Tensor


def nearest3(x: torch.Tensor, c: torch.Tensor, squares: torch.Tensor, blocks: Blocks) -> Lowest:
    """The lowest scores x·c + squares.

    x: bfloat16 [image, dim], contiguous, dim a multiple of DIMS; c: bfloat16 [run, cluster, dim],
    centroids times -2; squares: float32 [run, cluster], +inf of padding: `cluster` is a multiple of
    the columns of a block.
    """
    (n, dim), (runs, k, _) = x.shape, c.shape
    assert all(each.is_contiguous() for each in (x, c, squares))
    assert dim % blocks.dims == k % blocks.columns == 0
    index = torch.empty(n, runs, 2, dtype=torch.int32, device=x.device)
    score = torch.empty(n, runs, 3, device=x.device)
    if n:
        with device_of(x):
            _nearest3[(-(-n // blocks.rows) * runs,)](
                x, c, squares, index, score, n, k, runs, D=dim, **blocks.launch_options()
            )
    return Lowest(index, score)


@triton.jit(do_not_specialize=["n", "k", "runs"])
def _nearest3(  # type: ignore[no-untyped-def]
    x, c, squares, index, score, n, k, runs,
    D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, UPCAST: tl.constexpr,
):  # fmt: skip
    # The runs of a block of rows follow one another, so that its rows are read from memory once
    start = (tl.program_id(0) // runs).to(tl.int64) * BM
    run = (tl.program_id(0) % runs).to(tl.int64)
    line, place, dim = tl.arange(0, BM), tl.arange(0, BN), tl.arange(0, BK)
    inside = line < n - start
    rows = x + start * D + tl.where(inside, line, 0)[:, None] * D + dim[None, :]
    columns = c + run * k * D + place[None, :] * D + dim[:, None]
    short = squares + run * k + place
    s0 = tl.full([BM], float("inf"), tl.float32)
    s1 = tl.full([BM], float("inf"), tl.float32)
    s2 = tl.full([BM], float("inf"), tl.float32)
    i0 = tl.zeros([BM], tl.int32)
    i1 = tl.zeros([BM], tl.int32)
    for base in range(0, k, BN):
        sums = tl.zeros([BM, BN], tl.float32)
        for at in range(0, D, BK):
            left = tl.load(rows + at)
            right = tl.load(columns + at)
            if UPCAST:
                left = left.to(tl.float32)
                right = right.to(tl.float32)
            sums = tl.dot(left, right, sums)
        sums += tl.load(short)[None, :]
        columns += BN * D
        short += BN
        lowest = tl.min(sums, axis=1)
        if tl.max((lowest < s2).to(tl.int32), axis=0) > 0:
            t0, j0 = tl.min(sums, axis=1, return_indices=True)
            sums = tl.where(place[None, :] == j0[:, None], float("inf"), sums)
            t1, j1 = tl.min(sums, axis=1, return_indices=True)
            sums = tl.where(place[None, :] == j1[:, None], float("inf"), sums)
            t2 = tl.min(sums, axis=1)
            j0 += base
            j1 += base
            # Merge two sorted triples; of equal scores those so far, of lower clusters, come first
            own = s0 <= t0
            third = tl.where(
                own,
                tl.where(s1 <= t0, tl.minimum(s2, t0), tl.minimum(s1, t1)),
                tl.where(s0 <= t1, tl.minimum(s1, t1), tl.minimum(s0, t2)),
            )
            i1 = tl.where(own, tl.where(s1 <= t0, i1, j0), tl.where(s0 <= t1, i0, j1))
            i0 = tl.where(own, i0, j0)
            s2 = third
            s1 = tl.where(own, tl.minimum(s1, t0), tl.minimum(s0, t1))
            s0 = tl.minimum(s0, t0)
    out = (start + line) * runs + run
    tl.store(index + out * 2, i0, mask=inside)
    tl.store(index + out * 2 + 1, i1, mask=inside)
    tl.store(score + out * 3, s0, mask=inside)
    tl.store(score + out * 3 + 1, s1, mask=inside)
    tl.store(score + out * 3 + 2, s2, mask=inside)
