"""Which targets may be among the k of largest product with each query, by products of matrices.

Of the products of a tile only the largest of every few are looked at; the groups whose largest
passes what a query has found already are opened. So nearly all of the work is the product itself,
and that may be coarse (`cluster.coarse`): a target is given up only if it cannot be one of the k
however much its product, and that of the k-th, are off.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from cluster.coarse import Coarse
from cluster.cores import on_cores
from cluster.pool import Pool
from cluster.pool_on_gpu import PoolOnGpu
from cluster.room import has_room

QUERIES = 2048  # in one product of all cores
CORE_QUERIES = 1024  # in one of a core by itself
POOL = 256  # whose products a core looks at together, in its cache
CELLS = 64_000_000  # products that a GPU holds at once (256 MB)

Tile = tuple[int, np.ndarray | torch.Tensor]  # its first target, and float32 [target, dim]
Products = Callable[[int, int, np.ndarray], None]


class Candidates(NamedTuple):
    """start: int64 [query + 1], where in `position` (int64 [pair]) those of each query begin;
    floor: float32 [query], which the product of no other target passes, -inf where there is none;
    lost: bool [query], so many came near that some, or all, were given up."""

    start: np.ndarray
    position: np.ndarray
    floor: np.ndarray
    lost: np.ndarray


def candidates(
    query: np.ndarray,
    tiles: Iterable[Tile],
    k: int,
    margin: np.ndarray,
    own: np.ndarray,
    *,
    device: str,
    arithmetic: Coarse,
    progress: Callable[[], None],
) -> Candidates:
    """All targets whose product with a query (float32 [query, dim]) is less than `margin` (float32
    [query]) below the k-th largest, but for its `own` (int64 [query], -1 for none).

    `arithmetic` is that of the products; progress is called after each tile. A query is lost when
    more than 2k + 128 come that near: in plain products the largest are kept, in coarse ones none.
    """
    search = _on_gpu if device.startswith("cuda") else _on_cpu
    return search(query, tiles, k, margin, own, device, arithmetic, progress)


def resident(tiles: Iterator[Tile], numbers: int, device: str) -> list[Tile] | None:
    """The tiles on a GPU, if it has room for so many numbers."""
    if not has_room(numbers, device):
        return None
    return [(start, torch.as_tensor(tile, device=device)) for start, tile in tiles]


def _on_gpu(
    query: np.ndarray,
    tiles: Iterable[Tile],
    k: int,
    margin: np.ndarray,
    own: np.ndarray,
    device: str,
    arithmetic: Coarse,
    progress: Callable[[], None],
) -> Candidates:
    q = torch.from_numpy(query).to(device)
    slack, mine = torch.from_numpy(margin).to(device), torch.from_numpy(own).to(device)
    pools: list[PoolOnGpu] = []
    for start, tile in tiles:
        target = torch.as_tensor(tile, device=device)
        if not pools:
            step = max(16, CELLS // len(target))
            pools = [
                PoolOnGpu(mine[low : low + step], slack[low : low + step], k, arithmetic.error > 0)
                for low in range(0, len(q), step)
            ]
        for pool, part in zip(pools, q.split(step), strict=True):
            with arithmetic.products():
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
    arithmetic: Coarse,
    progress: Callable[[], None],
) -> Candidates:
    size = max(1, min(POOL, CORE_QUERIES, -(-len(query) // torch.get_num_threads())))
    pools = [
        Pool(own[low : low + size], margin[low : low + size], k, arithmetic.error > 0)
        for low in range(0, len(query), size)
    ]
    look = _coarsely if arithmetic.error else _plainly
    for start, target in tiles:
        assert isinstance(target, np.ndarray)
        look(query, target, start, pools, size, arithmetic)
        progress()
    return _together([pool.found() for pool in pools])


def _plainly(
    query: np.ndarray,
    target: np.ndarray,
    start: int,
    pools: list[Pool],
    size: int,
    arithmetic: Coarse,
) -> None:
    """Each core makes products of its own: far less waiting when another program is busy too."""
    step = max(1, CORE_QUERIES // size) * size

    def part(low: int) -> None:
        scores = query[low : low + step] @ target.T
        for at in range(0, len(scores), size):
            pools[(low + at) // size].add(scores[at : at + size], start)

    on_cores(part, range(0, len(query), step))


def _coarsely(
    query: np.ndarray,
    target: np.ndarray,
    start: int,
    pools: list[Pool],
    size: int,
    arithmetic: Coarse,
) -> None:
    """All cores make a product together: coarse ones are torch's, whose threads are its own."""
    step = max(1, QUERIES // size) * size
    q, t = torch.from_numpy(query), torch.from_numpy(target).T
    room = torch.empty(min(step, len(query)) * len(target))
    for low in range(0, len(query), step):
        part = q[low : low + step]
        out = room[: len(part) * len(target)].view(len(part), len(target))
        with arithmetic.products():
            scores = torch.mm(part, t, out=out).numpy()

        def look(at: int, low: int = low, scores: np.ndarray = scores) -> None:
            pools[(low + at) // size].add(scores[at : at + size], start)

        on_cores(look, range(0, len(part), size))


def _together(found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Candidates:
    """One after the other: how many candidates each query has, they, the floors, who is lost."""
    if not found:
        return Candidates(np.zeros(1, np.int64), *(np.empty(0, t) for t in (int, "f4", bool)))
    count, position, floor, lost = (np.concatenate(each) for each in zip(*found, strict=True))
    return Candidates(np.concatenate([[0], np.cumsum(count)]), position, floor, lost)
