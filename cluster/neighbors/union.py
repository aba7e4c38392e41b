"""All images that some targets asked for together: of a table of neighbours, the other side."""

from typing import NamedTuple

import numpy as np


class NeighborUnion(NamedTuple):
    """found: int64 [found], positions in what was searched, rising, each once; similarity: float32
    [found], the highest to a target; target: int64 [found], which target that is (ties: the
    lower); asked: int64 [found], how many targets asked."""

    found: np.ndarray
    similarity: np.ndarray
    target: np.ndarray
    asked: np.ndarray


def neighbor_union(neighbor: np.ndarray, similarity: np.ndarray, minimum: float) -> NeighborUnion:
    """What the targets of a table found.

    neighbor: int [target, neighbor], each at most once a row; similarity: float32 [target,
    neighbor]; pairs below `minimum` do not count. Memory: a few numbers an image searched.
    """
    size = int(neighbor.max(initial=-1)) + 1
    most, asked = np.full(size, -np.inf, np.float32), np.zeros(size, np.int64)
    target = np.full(size, len(neighbor), np.int64)
    columns = [
        (np.flatnonzero(like >= np.float32(minimum)), near, like)
        for near, like in zip(neighbor.T, similarity.T, strict=True)
    ]
    for kept, near, like in columns:
        np.maximum.at(most, near[kept], like[kept])
        asked += np.bincount(near[kept], minlength=size)
    for kept, near, like in columns:
        best = kept[like[kept] == most[near[kept]]]
        np.minimum.at(target, near[best], best)
    found = np.flatnonzero(asked)
    return NeighborUnion(found, most[found], target[found], asked[found])
