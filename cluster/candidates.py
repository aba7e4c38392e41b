"""The largest products of each query with many targets, found by float32 products of matrices.

Which targets they are holds up to rounding: who needs more looks again at what is near the floor.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from cluster.cores import on_cores
from cluster.room import has_room

CORE_QUERIES = 1024  # queries that a core takes through all steps
CELLS = 64_000_000  # products that a GPU holds at once (256 MB)

Tile = tuple[int, np.ndarray | torch.Tensor]  # its first target, and float32 [target, dim]


class Candidates(NamedTuple):
    """position: int64 [query, candidate], in no order, -1 where there are too few; floor: float32
    [query], the product that no other target passes, -inf where all targets are candidates."""

    position: np.ndarray
    floor: np.ndarray


def candidates(
    query: np.ndarray,
    tiles: Iterable[Tile],
    count: int,
    own: np.ndarray,
    *,
    device: str,
    progress: Callable[[], None],
) -> Candidates:
    """The `count` targets of largest product with each query (float32 [query, dim]), but for its
    `own` (int64 [query], -1 for none). progress is called after each tile."""
    search = _on_gpu if device.startswith("cuda") else _on_cpu
    return search(query, tiles, count, own, device, progress)


def resident(tiles: Iterator[Tile], numbers: int, device: str) -> list[Tile] | None:
    """The tiles on a GPU, if it has room for so many numbers."""
    if not has_room(numbers, device):
        return None
    return [(start, torch.as_tensor(tile, device=device)) for start, tile in tiles]


def _on_gpu(
    query: np.ndarray,
    tiles: Iterable[Tile],
    count: int,
    own: np.ndarray,
    device: str,
    progress: Callable[[], None],
) -> Candidates:
    q, mine = torch.from_numpy(query).to(device), torch.from_numpy(own).to(device)
    best = torch.full((len(q), count), -torch.inf, device=device)
    position = torch.full((len(q), count), -1, dtype=torch.int64, device=device)
    for start, tile in tiles:
        target = torch.as_tensor(tile, device=device)
        step = max(16, CELLS // len(target))
        for low in range(0, len(q), step):
            here = slice(low, low + step)
            scores = q[here] @ target.T
            at = mine[here] - start
            row = torch.nonzero((at >= 0) & (at < len(target))).ravel()
            scores[row, at[row]] = -torch.inf
            top, column = scores.topk(min(count, len(target)), dim=1, sorted=False)
            found = torch.where(top == -torch.inf, -1, column + start)
            both = torch.cat([best[here], top], 1)
            best[here], kept = both.topk(count, dim=1, sorted=False)
            position[here] = torch.cat([position[here], found], 1).gather(1, kept)
        progress()
    return Candidates(position.cpu().numpy(), best.amin(1).cpu().numpy())


def _on_cpu(
    query: np.ndarray,
    tiles: Iterable[Tile],
    count: int,
    own: np.ndarray,
    device: str,
    progress: Callable[[], None],
) -> Candidates:
    best = np.full((len(query), count), -np.inf, np.float32)
    position = np.full((len(query), count), -1, np.int64)
    floor = np.full(len(query), -np.inf, np.float32)
    step = max(1, min(CORE_QUERIES, -(-len(query) // torch.get_num_threads())))
    for start, target in tiles:
        assert isinstance(target, np.ndarray)

        def part(low: int, start: int = start, target: np.ndarray = target) -> None:
            here = slice(low, low + step)
            scores = query[here] @ target.T
            at = own[here] - start
            row = np.flatnonzero((at >= 0) & (at < len(target)))
            scores[row, at[row]] = -np.inf
            value, column = _above(scores, floor[here], count)
            found = np.where(value == -np.inf, -1, column + start)
            both = np.concatenate([best[here], value], 1)
            kept = np.argpartition(both, both.shape[1] - count, axis=1)[:, -count:]
            best[here] = np.take_along_axis(both, kept, 1)
            position[here] = np.take_along_axis(np.concatenate([position[here], found], 1), kept, 1)
            floor[here] = best[here].min(1)

        on_cores(part, range(0, len(query), step))
        progress()
    return Candidates(position, floor)


def _above(scores: np.ndarray, floor: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The values above the floor, at most the `count` largest of each row, and their columns:
    [query, found], filled up with -inf."""
    if not np.isneginf(floor).any():
        flat = np.flatnonzero(scores > floor[:, None])
        row, column = np.divmod(flat, scores.shape[1])
        size = np.bincount(row, minlength=len(scores))
        if size.max(initial=0) <= count:
            place = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
            value = np.full((len(scores), size.max(initial=0)), -np.inf, np.float32)
            columns = np.zeros(value.shape, np.int64)
            value[row, place], columns[row, place] = scores.ravel()[flat], column
            return value, columns
    most = min(count, scores.shape[1])
    columns = np.argpartition(scores, scores.shape[1] - most, axis=1)[:, -most:]
    return np.take_along_axis(scores, columns, 1), columns
