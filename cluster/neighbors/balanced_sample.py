"""A balanced sample: quotas per cluster or class, larger shares for the rare ones.

After `sampling_cluster` of the SCAN fork that picks training images like a target collection: a
group of n of N images weighs 1 - n / N. But: the quotas sum to the requested total (Hamilton's
method of largest remainders, in whole numbers), no quota exceeds its group, and what a group lacks
is distributed among the others. There, quotas were rounded down, and groups that were too small
were not compensated for.
"""

import numpy as np

from cluster.errors import ClusterError


def apportion(sizes: np.ndarray, total: int) -> np.ndarray:
    """Apportion `total` images among groups: int64 [group], at most the size of each.

    sizes: int [group], images per group. Ties of remainders: the smaller group, then the lower
    number. Raises ClusterError when the groups together have fewer than `total`.
    """
    sizes = sizes.astype(np.int64)
    if not 0 <= total <= sizes.sum():
        raise ClusterError(
            f"a sample of {total} images was requested, the groups have {sizes.sum()}"
        )
    # The weight of a group that holds all images would be 0
    weight = np.maximum(sizes.sum() - sizes, 1)
    quota, left, open_ = np.zeros_like(sizes), int(total), sizes > 0
    while left:
        shares = weight * open_ * left  # times weight.sum(): whole numbers stay exact
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
    """A balanced sample of `total` images: bool [image].

    group: int [image], any numbers; similarity: float [image]. Each group gives
    its quota, the most similar first; ties: the lower image.
    """
    _, group = np.unique(group, return_inverse=True)
    sizes = np.bincount(group)
    order = np.lexsort((-similarity, group))  # stable
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank < apportion(sizes, total)[group]
