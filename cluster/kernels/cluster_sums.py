"""Sums of the vectors of each cluster: the update step of k-means.

The vectors are sorted by cluster and summed cluster by cluster, several times faster than
scattering or a product with one-hot rows. On a CPU sums are in float64 and in the order of the
vectors: the same at any thread count, and however the vectors are divided into chunks.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores

GPU_BAG = 64  # vectors that a GPU sums in float32; sums are updated, so their rounding remains
CORE_VECTORS = 4096  # vectors that a core sums at once, about


class Sums(NamedTuple):
    """group: int64 [group], sorted and distinct; sums: float64 [group, dim]; size: int64 [group].
    A removed vector counts -1."""

    group: torch.Tensor
    sums: torch.Tensor
    size: torch.Tensor


def cluster_sums(
    x: torch.Tensor, cluster: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of x [image, dim] over the clusters of each run, float64 [run x cluster, dim], and the
    cluster sizes, int64 [run x cluster]; `cluster` is int64 [image, run]."""
    runs = cluster.shape[1]
    group = (cluster + torch.arange(runs, device=x.device) * k).T.reshape(-1)
    image = torch.arange(len(x), device=x.device).repeat(runs)
    found = add_to_sums(empty_sums(x.shape[1], x.device), x, image, group, torch.ones_like(group))
    sums = torch.zeros(runs * k, x.shape[1], dtype=torch.float64, device=x.device)
    sums[found.group] = found.sums
    count = torch.zeros(runs * k, dtype=torch.int64, device=x.device)
    count[found.group] = found.size
    return sums, count


def empty_sums(dim: int, device: torch.device | str) -> Sums:
    """The sums of no vectors."""
    none = torch.empty(0, dtype=torch.int64, device=device)
    return Sums(none, torch.empty(0, dim, dtype=torch.float64, device=device), none)


def add_to_sums(
    before: Sums, x: torch.Tensor, image: torch.Tensor, group: torch.Tensor, sign: torch.Tensor
) -> Sums:
    """`before`, with x[image[i]] (float32 [image, dim]) added to group[i] where sign[i] is 1, and
    subtracted where it is -1 (all int64 [pair])."""
    order = _sorted(group)
    own, size = torch.unique_consecutive(group[order], return_counts=True)
    name = own if not len(before.group) else torch.unique(torch.cat([before.group, own]))
    old, at = torch.searchsorted(name, before.group), torch.searchsorted(name, own)
    sums = before.sums.new_zeros(len(name), x.shape[1])
    sums[old] = before.sums
    count = torch.zeros_like(name)
    count[old] = before.size
    first, sign = size.cumsum(0) - size, sign[order]
    line = torch.arange(len(own), device=x.device).repeat_interleave(size)
    count.index_add_(0, at[line], sign)
    if x.is_cuda:
        sums[at] += _bags(x, image[order], first, size, sign)
    else:
        _add(x, image[order], sign, first, size, at, sums)
    return Sums(name, sums, count)


def _sorted(group: torch.Tensor) -> torch.Tensor:
    """A stable argsort."""
    if group.is_cuda:
        return torch.argsort(group, stable=True)
    # numpy has a radix sort for 16-bit numbers: sort by the low half, then by the high one
    wide = group.numpy()
    order = np.argsort(wide.astype(np.uint16), kind="stable")
    if len(wide) and wide.max() >= 2**16:
        order = order[np.argsort((wide[order] >> 16).astype(np.uint16), kind="stable")]
    return torch.from_numpy(order)


def _add(
    x: torch.Tensor,
    image: torch.Tensor,
    sign: torch.Tensor,
    first: torch.Tensor,
    size: torch.Tensor,
    at: torch.Tensor,
    sums: torch.Tensor,
) -> None:
    """Add the vectors of each group, from `first` on, to sums[at]."""
    arrays = tuple(each.numpy() for each in (x, image, sign, first, size, at, sums))
    aim = np.arange(1, max(1, len(image) // CORE_VECTORS)) * CORE_VECTORS
    cuts = [0, *np.searchsorted(first.numpy(), aim).tolist(), len(first)]
    on_cores(lambda i: _add_some(cuts[i], cuts[i + 1], *arrays), range(len(cuts) - 1))


@in_order
def _add_some(
    low: int, high: int, x: np.ndarray, image: np.ndarray, sign: np.ndarray,
    first: np.ndarray, size: np.ndarray, at: np.ndarray, sums: np.ndarray,
) -> None:  # fmt: skip
    for group in range(low, high):
        out = sums[at[group]]
        for pair in range(first[group], first[group] + size[group]):
            row, factor = x[image[pair]], np.float64(sign[pair])
            for d in range(len(out)):
                out[d] += factor * row[d]


def _bags(
    x: torch.Tensor,
    image: torch.Tensor,
    first: torch.Tensor,
    size: torch.Tensor,
    sign: torch.Tensor,
) -> torch.Tensor:
    """The sum of each group, float64 [group, dim], on a GPU: float32 in bags, float64 over bags."""
    pieces = (size + GPU_BAG - 1) // GPU_BAG
    begin = pieces.cumsum(0) - pieces
    bag = torch.arange(int(pieces.sum()), device=x.device)
    owner = torch.arange(len(size), device=x.device).repeat_interleave(pieces)
    starts = first[owner] + (bag - begin[owner]) * GPU_BAG
    weight = sign.to(x.dtype)
    bags = torch.nn.functional.embedding_bag(
        image, x, starts, mode="sum", per_sample_weights=weight
    )
    return torch.nn.functional.embedding_bag(bag, bags.double(), begin, mode="sum")
