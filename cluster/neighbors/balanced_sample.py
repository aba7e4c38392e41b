"""A sample of which no group takes all: quotas by cluster or class, the rare ones first.

After `sampling_cluster` of the SCAN fork that picks training images like a target collection: a
group of n of N images weighs 1 - n / N. But: the quotas sum to what is asked for (Hamilton's method
of largest remainders, in whole numbers), no group owes more than it has, and what it cannot give is
handed on to the others. There, quotas were rounded down and groups that ran short were not made up
for.
"""

import numpy as np

from cluster.errors import ClusterError


def apportion(sizes: np.ndarray, total: int) -> np.ndarray:
    """How many of `total` images each group gives: int64 [group], at most its size.

    sizes: int [group], images a group. Ties of remainders: the smaller group, then the lower
    number. Raises ClusterError when the groups together have fewer than `total`.
    """
    sizes = sizes.astype(np.int64)
    if not 0 <= total <= sizes.sum():
        raise ClusterError(
            f"a sample of {total} is asked for, the groups have {sizes.sum()} images"
        )
    # A group that is all there is would weigh nothing: it has to weigh something.
    weight = np.maximum(sizes.sum() - sizes, 1)
    quota, left, open_ = np.zeros_like(sizes), int(total), sizes > 0
    while left:
        shares = weight * open_ * left  # over weight.sum(): whole numbers stay exact
        among = int((weight * open_).sum())
        full = open_ & (shares // among >= sizes)
        if not full.any():
            quota += shares // among
            rest = np.where(open_, shares % among, -1)
            first = np.lexsort((np.arange(len(sizes)), sizes, -rest))
            quota[first[: total - quota.sum()]] += 1
            break
        quota[full] = sizes[full]
        open_ &= ~full
        left = int(total - quota.sum())
    return quota


def balanced_sample(group: np.ndarray, similarity: np.ndarray, total: int) -> np.ndarray:
    """Which images make a sample of `total`: bool [image].

    group: int [image], any numbers; similarity: float [image]. Of each group its quota, the most
    similar first; ties: the lower image.
    """
    _, group = np.unique(group, return_inverse=True)
    sizes = np.bincount(group)
    order = np.lexsort((-similarity, group))  # stable
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank < apportion(sizes, total)[group]
