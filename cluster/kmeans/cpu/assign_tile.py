"""The assignment step of a tile of a chunk on a CPU: only images whose bounds overlap are compared
with centroids, by whole products or cheap ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int64

from cluster.kernels.cluster_sums import Sums, add_to_sums
from cluster.kmeans.chunk_messages import ChunkArrays, RunGroup, Tile
from cluster.kmeans.coarse.nearest import CoarseCentroids, nearest_coarse
from cluster.kmeans.nearest import NearestWithBounds, PreparedCentroids, nearest

Changes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # image, group and sign, int64 [change]


def assign_tile(
    chunk: ChunkArrays,
    here: slice,
    groups: Sequence[RunGroup],
    load: Callable[[slice, Sequence[Bool[torch.Tensor, " image"]]], Tile],
    moved: Int64[torch.Tensor, " run"],
    sums: Sums,
) -> Sums:
    """Assign the images of a tile, count in `moved` those that change their cluster, and return the
    sums with these changes. load: reads the images that are undecided in any group."""
    undecided = [_undecided(chunk, here, group) for group in groups]
    tile = load(here, undecided)
    changes = []
    for group, mask in zip(groups, undecided, strict=True):
        rows = torch.nonzero(mask).ravel()
        if len(rows):
            changes.append(_assign_rows(chunk, tile, group, rows, moved))
    if not any(len(change[0]) for change in changes):
        return sums
    return add_to_sums(sums, tile.x, *(torch.cat(each) for each in zip(*changes, strict=True)))


def _undecided(chunk: ChunkArrays, here: slice, group: RunGroup) -> Bool[torch.Tensor, " image"]:
    """Which images of a tile have to be compared with the centroids."""
    if group.shift is None:
        return torch.ones_like(chunk.norms[here], dtype=torch.bool)
    return chunk.bounds.widen(group.runs, here, chunk.cluster, group.shift)


def _assign_rows(
    chunk: ChunkArrays,
    tile: Tile,
    group: RunGroup,
    rows: Int64[torch.Tensor, " undecided"],
    moved: Int64[torch.Tensor, " run"],
) -> Changes:
    """Assign some images of a tile and count those that moved. The changes of the sums as
    add_to_sums takes them, in the order of the images."""
    at: slice | torch.Tensor = rows + tile.here.start
    where: Any = group.runs[:, None], at
    if len(rows) == len(tile.place):
        at, where = tile.here, (group.runs, tile.here)  # views instead of copies
    if isinstance(group.to, PreparedCentroids):
        place = None if len(rows) == len(tile.x) else tile.place[rows]
        bf16 = None if chunk.bf16 is None else chunk.bf16[tile.here]
        found = nearest(tile.x, chunk.norms[at], group.to, place, chunk.residual[at], bf16)
    else:
        found = _nearest_coarse(chunk, tile, at, where, tile.place[rows], group.to)
    old, new = chunk.write(where, at, found)
    run, which = torch.nonzero(new != old, as_tuple=True)
    moved += torch.bincount(group.runs[run], minlength=len(moved))
    base, old = group.runs[run] * group.to.centroids.shape[1], old[run, which]
    image, name = tile.place[rows[which]], torch.stack([base + old, base + new[run, which]], 1)
    sign = torch.tensor([-1, 1]).repeat(len(name))
    was = torch.stack([old >= 0, torch.ones_like(old, dtype=torch.bool)], 1).ravel()
    return image.repeat_interleave(2)[was], name.ravel()[was], sign[was]


def _nearest_coarse(
    chunk: ChunkArrays,
    tile: Tile,
    at: slice | torch.Tensor,
    where: Any,
    place: Int64[torch.Tensor, " undecided"],
    to: CoarseCentroids,
) -> NearestWithBounds:
    assert chunk.coarse is not None
    upper, norms = chunk.bounds.upper[where], chunk.norms[at]
    if chunk.label is not None:  # the bound is not of the cluster it is pinned to
        upper = upper.masked_fill(chunk.label[at] >= 0, torch.inf)
    encoded = chunk.coarse.of(tile.x, place, norms, at)
    before = chunk.cluster[where].T.long()
    return nearest_coarse(tile.x, norms, to, place, encoded, before, upper.T)
