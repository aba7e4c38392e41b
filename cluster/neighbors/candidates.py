"""Which targets may be among the k of largest product with each query, by products of matrices.

Nearly all of the work is the product itself, and that may be coarse
(`cluster.kernels.low_precision`): a target is given up only if it cannot be one of the k however
much its product, and that of the k-th, are off."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.bf16_rows import empty_bf16
from cluster.kernels.low_precision import ROUNDING, MatmulPrecision
from cluster.kernels.norms import RowStats, row_stats
from cluster.kernels.threads import on_cores
from cluster.kernels.topk_cpu import TopKBuffer
from cluster.kernels.topk_gpu import TopKBufferGpu
from cluster.vectors.device import fits_on_gpu

ROWS = 512  # queries in one product of a core
DIMS = 32
TINY = 2.0**-120  # more than what is lost of numbers that are nearly 0
CELLS = 64_000_000  # products that a GPU holds at once (256 MB)

Tile = tuple[int, np.ndarray | torch.Tensor]  # its first target, and float32 [target, dim]


class Candidates(NamedTuple):
    """start: int64 [query + 1], where in `position` (int64 [pair]) those of each query begin;
    floor: float32 [query], which the product of no other target passes, -inf where there is none;
    lost: bool [query], so many came near that some, or all, were given up."""

    start: np.ndarray
    position: np.ndarray
    floor: np.ndarray
    lost: np.ndarray


def find_candidates(
    query: np.ndarray,
    tiles: Iterable[Tile],
    k: int,
    margin: np.ndarray,
    own: np.ndarray,
    *,
    device: str,
    arithmetic: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    """All targets whose product with a query (float32 [query, dim]) is less than `margin` (float32
    [query]) below the k-th largest, but for its `own` (int64 [query], -1 for none). Coarse products
    on a CPU have margins of their own, which are narrower.

    `arithmetic` is that of the products; progress is called after each tile. A query is lost when
    more than 2k + 128 come that near: in plain products the largest are kept, in coarse ones none.
    """
    search = _on_gpu if device.startswith("cuda") else _on_cpu
    return search(query, tiles, k, margin, own, device, arithmetic, progress)


def tiles_on_gpu(tiles: Iterator[Tile], numbers: int, device: str) -> list[Tile] | None:
    """The tiles on a GPU, if it has room for so many numbers."""
    if not fits_on_gpu(numbers, device):
        return None
    return [(start, torch.as_tensor(tile, device=device)) for start, tile in tiles]


def _on_gpu(
    query: np.ndarray,
    tiles: Iterable[Tile],
    k: int,
    margin: np.ndarray,
    own: np.ndarray,
    device: str,
    arithmetic: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    q = torch.from_numpy(query).to(device)
    slack, mine = torch.from_numpy(margin).to(device), torch.from_numpy(own).to(device)
    pools: list[TopKBufferGpu] = []
    for start, tile in tiles:
        target = torch.as_tensor(tile, device=device)
        if not pools:
            step = max(16, CELLS // len(target))
            pools = [
                TopKBufferGpu(
                    mine[low : low + step], slack[low : low + step], k, arithmetic.error > 0
                )
                for low in range(0, len(q), step)
            ]
        for pool, part in zip(pools, q.split(step), strict=True):
            with arithmetic.applied():
                scores = part @ target.T
            pool.add(scores, start)
        progress()
    return _together([pool.found() for pool in pools])


def _on_cpu(
    query: np.ndarray,
    tiles: Iterable[Tile],
    k: int,
    margin: np.ndarray,
    own: np.ndarray,
    device: str,
    arithmetic: MatmulPrecision,
    progress: Callable[[], None],
) -> Candidates:
    """Each core makes products of its own: far less waiting when another program is busy too."""
    left, off = torch.from_numpy(query), np.zeros_like(margin)
    if arithmetic.error:
        left, of_query = _short(left)
        margin = off
    pool = TopKBuffer(own, margin, k, arithmetic.error > 0)
    for start, tile in tiles:
        right = torch.as_tensor(tile)
        if arithmetic.error:
            right, of_target = _short(right)
            off = _off(of_query, of_target, query.shape[1])
        pieces = range(0, len(query), ROWS)
        with arithmetic.applied():
            on_cores(partial(_look, pool, left, right, start, off), pieces)
        progress()
    return _together([pool.found()])


def _look(
    pool: TopKBuffer, left: torch.Tensor, right: torch.Tensor, start: int, off: np.ndarray, low: int
) -> None:
    """At the products of some queries with a tile."""
    pool.add(_products(left[low : low + ROWS], right), low, start, off)


def _short(x: torch.Tensor) -> tuple[torch.Tensor, RowStats]:
    """x as bfloat16, with zeros up to a number of dims that products are fast with."""
    x = torch.nn.functional.pad(x, (0, -x.shape[1] % DIMS))
    short = empty_bf16(*x.shape)
    return short, row_stats(x, short)


def _products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """[query, target]. Numpy's is faster than torch's on some processors."""
    if left.dtype == torch.float32:
        return torch.from_numpy(left.numpy() @ right.numpy().T)
    return left @ right.T


def _off(query: RowStats, target: RowStats, dim: int) -> np.ndarray:
    """How far products of bfloat16 are off, but for the rounding of the results: float32 [query]"""
    rest, longest = target.residual.max(), target.norm.max()
    off = query.residual * longest + (query.norm + query.residual) * rest
    return (off + ROUNDING * dim**0.5 * query.norm * longest + TINY).numpy()


def _together(found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Candidates:
    """One after the other: how many candidates each query has, they, the floors, who is lost."""
    if not found:
        return Candidates(np.zeros(1, np.int64), *(np.empty(0, t) for t in (int, "f4", bool)))
    count, position, floor, lost = (np.concatenate(each) for each in zip(*found, strict=True))
    return Candidates(np.concatenate([[0], np.cumsum(count)]), position, floor, lost)
