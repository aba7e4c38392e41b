"""The union of the targets' nearest neighbours."""

from typing import NamedTuple

import numpy as np


class NeighborUnion(NamedTuple):
    """found: int64 [found], positions in what was searched, sorted and distinct; similarity:
    float32 [found], the highest to a target; target: int64 [found], which target that is (ties: the
    lower); n_targets: int64 [found], how many targets have it as a neighbour."""

    found: np.ndarray
    similarity: np.ndarray
    target: np.ndarray
    n_targets: np.ndarray


def neighbor_union(neighbor: np.ndarray, similarity: np.ndarray, minimum: float) -> NeighborUnion:
    """The images that are a neighbour of any target.

    neighbor: int [target, neighbor], each at most once a row; similarity: float32 [target,
    neighbor]; pairs below `minimum` do not count. Memory: a few numbers per image searched.
    """
    size = int(neighbor.max(initial=-1)) + 1
    most, n_targets = np.full(size, -np.inf, np.float32), np.zeros(size, np.int64)
    target = np.full(size, len(neighbor), np.int64)
    columns = [
        (np.flatnonzero(like >= np.float32(minimum)), near, like)
        for near, like in zip(neighbor.T, similarity.T, strict=True)
    ]
    for kept, near, like in columns:
        np.maximum.at(most, near[kept], like[kept])
        n_targets += np.bincount(near[kept], minlength=size)
    for kept, near, like in columns:
        best = kept[like[kept] == most[near[kept]]]
        np.minimum.at(target, near[best], best)
    found = np.flatnonzero(n_targets)
    return NeighborUnion(found, most[found], target[found], n_targets[found])
