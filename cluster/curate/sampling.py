"""Hierarchical sampling: as evenly over the clusters of every level as their sizes allow, after Vo
et al. 2024 (arXiv:2405.15613, section 3.3).

From the top down a cluster that is to give N images asks its children for min(c, n_j) each, with c
such that these sum to N (water-filling): small ones give all that they have, large ones the same.
What no whole c can spread goes, one each, to the largest of those that have more than c (ties: the
lower number).
"""

import numpy as np
from jaxtyping import Bool, Int, Int64

from cluster.curate.segments import first_of_each
from cluster.errors import ClusterError


def water_filling(
    size: Int[np.ndarray, " child"],
    parent: Int[np.ndarray, " child"],
    wanted: Int[np.ndarray, " p"],
) -> Int64[np.ndarray, " child"]:
    """How many images each child gives. size: how many it has; parent: whose child it is; wanted:
    how many each parent is to give, at most what its children have."""
    order = np.lexsort((-np.arange(len(size)), size, parent))  # the last of a parent: the largest
    sized, of = size[order].astype(np.int64), parent[order]
    children = np.bincount(parent, minlength=len(wanted))
    first = np.cumsum(children) - children
    rank = np.arange(len(size)) - first[of]
    before = np.cumsum(sized) - sized
    before -= before[np.minimum(first, max(0, len(size) - 1))][of]  # of the same parent
    left = children[of] - rank
    # Whether c reaches the size of the child, so that it and all smaller ones give everything
    full = before + sized * left <= np.asarray(wanted)[of]
    n_full = np.bincount(of[full], minlength=len(wanted))
    given = np.bincount(of[full], sized[full], minlength=len(wanted)).astype(np.int64)
    rest, among = wanted - given, children - n_full
    c, one_more = np.divmod(rest, np.maximum(among, 1))
    out = np.empty(len(size), np.int64)
    out[order] = np.where(full, sized, c[of] + (left <= one_more[of]))
    return out


def hierarchical_sample(
    levels: list[np.ndarray],
    eligible: Bool[np.ndarray, " image"],
    n: int,
    key: np.ndarray,
) -> Int64[np.ndarray, " chosen"]:
    """n of the eligible images, sorted. levels: int32 [point] of each level, the finest first, as
    cluster.curate.hierarchy has them; key: float [image], the lowest of a finest cluster are taken.

    Raises ClusterError where fewer are eligible.
    """
    if not 0 <= n <= eligible.sum():
        raise ClusterError(f"{n} images are asked for, {eligible.sum()} can be chosen")
    k = [int(level.max(initial=-1)) + 1 for level in levels]
    sizes = [np.bincount(levels[0][eligible], minlength=k[0])]
    for parent, number in zip(levels[1:], k[1:], strict=True):
        sizes.append(np.bincount(parent, sizes[-1], minlength=number).astype(np.int64))
    wanted, parents = np.array([n]), [*levels[1:], np.zeros(k[-1], np.int32)]
    for size, parent in zip(sizes[::-1], parents[::-1], strict=True):
        wanted = water_filling(size, parent, wanted)
    some = np.flatnonzero(eligible)
    return some[first_of_each(levels[0][some], key[some], wanted)]
