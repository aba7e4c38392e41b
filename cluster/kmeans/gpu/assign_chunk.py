"""The assignment step of a chunk on a GPU: the steps of chunk.py on all its images at once.

The device is waited for when a number of images decides what comes next: how many are undecided,
how many need float64 (fused_argmin.py), how many moved.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int64

from cluster.kernels.cluster_sums import Sums, empty_sums
from cluster.kernels.gpu.dense_sums import dense_sums
from cluster.kmeans.chunk_messages import ChunkArrays, RunGroup, StepResult, Tile
from cluster.kmeans.hamerly_bounds import GATHER
from cluster.kmeans.nearest import PreparedCentroids, nearest

Changes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # image, group and sign, int64 [change]


def assign_chunk(
    chunk: ChunkArrays,
    groups: Sequence[RunGroup],
    load: Callable[[slice, Sequence[Bool[torch.Tensor, " image"]]], Tile],
    was_assigned: bool,
) -> StepResult:
    """Assign the images of a chunk to the nearest centroids of each group of runs.

    load: reads the images that are undecided in any group; was_assigned: whether any of the runs
    had assigned its images before.
    """
    here, k = slice(0, len(chunk.norms)), groups[0].to.centroids.shape[1]
    compared = [_rows_to_compare(chunk, group) for group in groups]
    every = chunk.norms.new_ones((), dtype=torch.bool).expand(here.stop)
    tile = load(here, [every if mask is None else mask for mask, _ in compared])
    changes, moved, first = list[Changes](), list[int](), 0
    for group, (_, rows) in zip(groups, compared, strict=True):
        found, own = _assign_group(chunk, tile, group, rows, first, was_assigned)
        changes += found
        moved += own
        first += len(group.runs) * k
    runs = torch.cat([group.runs for group in groups])
    told = torch.tensor(moved, dtype=torch.int64, device="cpu")
    if not changes:
        return StepResult(empty_sums(tile.x.shape[1], runs.device), told)
    image, name, sign = (torch.cat(each) for each in zip(*changes, strict=True))
    sums, count = dense_sums(tile.x, image, name, sign, first)
    number = (runs[:, None] * k + torch.arange(k, device=runs.device)).ravel()
    return StepResult(Sums(number, sums, count), told)


def _rows_to_compare(
    chunk: ChunkArrays, group: RunGroup
) -> tuple[Bool[torch.Tensor, " image"] | None, Int64[torch.Tensor, " undecided"] | None]:
    """The undecided images, as a mask and as rows, or None for all, where fetching single ones
    takes as long."""
    runs, _, shift = group
    if shift is None:
        return None, None
    undecided = chunk.bounds.widen(runs, slice(0, len(chunk.norms)), chunk.cluster, shift)
    rows, cells = torch.nonzero(undecided).ravel(), shift.numel()
    if len(rows) * (cells + GATHER) > len(undecided) * cells:
        return None, None
    return undecided, rows


def _assign_group(
    chunk: ChunkArrays,
    tile: Tile,
    group: RunGroup,
    rows: Int64[torch.Tensor, " undecided"] | None,
    first: int,
    was_assigned: bool,
) -> tuple[list[Changes], list[int]]:
    """Assign some images in the runs of a group, whose first cluster is number `first` of all
    groups: the changes, and how many images moved in each run."""
    (runs, to, _), (_, x, places) = group, tile
    at: Any = slice(0, len(places)) if rows is None else rows
    where: Any = (runs, at) if rows is None else (runs[:, None], at)
    if rows is not None and not len(rows):
        return [], [0] * len(runs)
    place = None if rows is None or len(rows) == len(x) else places[rows]
    assert isinstance(to, PreparedCentroids)  # the others are a CPU's
    found = nearest(x, chunk.norms[at], to, place, chunk.residual[at], chunk.bf16)
    old, new = chunk.write(where, at, found)
    same = old == new
    moved = (~same).sum(1).tolist()
    if not any(moved):
        return [], moved
    # Those that moved come first
    pair = torch.sort(same.ravel().byte(), stable=True).indices[: sum(moved)]
    image, base = pair % same.shape[1], first + pair // same.shape[1] * to.centroids.shape[1]
    image_of, to_name = image if rows is None else rows[image], new.reshape(-1)[pair]
    changes = [(places[image_of], base + to_name, torch.ones_like(image))]
    if was_assigned:
        old = old.ravel()[pair]
        sign = -(old >= 0).long()  # a run that was not assigned takes nothing away
        changes.append((places[image_of], base + old.clamp(min=0), sign))
    return changes, moved
