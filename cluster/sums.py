"""Sums of the vectors of each cluster: the half of k-means that is not a matrix product.

Sorted, then summed bag by bag: several times faster than scattering or a product with one-hot rows,
and in one order, so that the sums are the same at any thread count.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.cores import on_cores

LONG = 64  # vectors summed in float32: what they are rounded by stays, as sums change by moves
BAGGED = 4096  # vectors that a core sums in one go, about


class Sums(NamedTuple):
    """group: int64 [group], rising, each once; sums: float64 [group, dim]; size: int64 [group].
    Vectors that are taken away count less than 0."""

    group: torch.Tensor
    sums: torch.Tensor
    size: torch.Tensor


def cluster_sums(
    x: torch.Tensor, cluster: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of x [image, dim] over each cluster of each run, float64 [run x cluster, dim], and the
    sizes, int64; `cluster` is int64 [image, run]."""
    runs = cluster.shape[1]
    group = (cluster + torch.arange(runs, device=x.device) * k).T.reshape(-1)
    image = torch.arange(len(x), device=x.device).repeat(runs)
    found = group_sums(x, image, group, None)
    sums = torch.zeros(runs * k, x.shape[1], dtype=torch.float64, device=x.device)
    sums[found.group] = found.sums
    count = torch.zeros(runs * k, dtype=torch.int64, device=x.device)
    count[found.group] = found.size
    return sums, count


def group_sums(
    x: torch.Tensor, image: torch.Tensor, group: torch.Tensor, sign: torch.Tensor | None
) -> Sums:
    """Sums over groups: x[image[i]] goes into group[i] (both int64 [pair]), times sign[i] (int64
    [pair], 1 or -1) if that is given."""
    if sign is not None and bool((sign > 0).all()):
        sign = None
    order = _sorted(group)
    name, size = torch.unique_consecutive(group[order], return_counts=True)
    first = size.cumsum(0) - size
    weight = None if sign is None else sign[order]
    pieces = (size + LONG - 1) // LONG
    begin = pieces.cumsum(0) - pieces
    at = torch.arange(int(pieces.sum()), device=x.device)
    owner = torch.arange(len(name), device=x.device).repeat_interleave(pieces)
    starts = first[owner] + (at - begin[owner]) * LONG
    sums = _bags(x, image[order], starts, None if weight is None else weight.float())
    if len(at) > len(name):
        sums = torch.nn.functional.embedding_bag(at, sums, begin, mode="sum")
    count = size
    if weight is not None:
        count = torch.zeros_like(name).index_add_(
            0, torch.arange(len(name), device=x.device).repeat_interleave(size), weight
        )
    return Sums(name, sums, count)


def total(parts: list[Sums]) -> Sums:
    """Sums of several parts as one, added in their order."""
    name, at = torch.unique(torch.cat([part.group for part in parts]), return_inverse=True)
    sums = parts[0].sums.new_zeros(len(name), parts[0].sums.shape[1])
    count, start = torch.zeros_like(name), 0
    for part in parts:
        here = at[start : start + len(part.group)]
        sums[here] += part.sums
        count[here] += part.size
        start += len(part.group)
    return Sums(name, sums, count)


def _sorted(group: torch.Tensor) -> torch.Tensor:
    """The order that sorts, stably."""
    if group.is_cuda:
        return torch.argsort(group, stable=True)
    # numpy sorts 16-bit numbers by radix: the low half first, then the high one
    wide = group.numpy()
    order = np.argsort(wide.astype(np.uint16), kind="stable")
    if len(wide) and wide.max() >= 2**16:
        order = order[np.argsort((wide[order] >> 16).astype(np.uint16), kind="stable")]
    return torch.from_numpy(order)


def _bags(
    x: torch.Tensor, image: torch.Tensor, first: torch.Tensor, weight: torch.Tensor | None
) -> torch.Tensor:
    """Sums of x[image] from each `first` (int64 [bag]) to the next, float64 [bag, dim]."""
    sums = torch.empty(len(first), x.shape[1], dtype=torch.float64, device=x.device)
    ends = torch.cat([first[1:], first.new_tensor([len(image)])])

    def some(low: int, high: int) -> None:
        if low < high:
            here = slice(int(first[low]), int(ends[high - 1]))
            own = None if weight is None else weight[here]
            sums[low:high] = torch.nn.functional.embedding_bag(
                image[here], x, first[low:high] - first[low], mode="sum", per_sample_weights=own
            )

    if x.is_cuda:
        some(0, len(first))
    else:
        pieces = max(1, len(image) // BAGGED)
        aim = torch.arange(1, pieces) * (len(image) / pieces)
        cuts = [0, *torch.searchsorted(first, aim).tolist(), len(first)]
        on_cores(lambda at: some(cuts[at], cuts[at + 1]), range(pieces))
    return sums
