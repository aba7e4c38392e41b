"""Groups of points on which suggestions can be told by eye, and their neighbours."""

import numpy as np

from cluster.suggest.space import Space, make_space
from cluster.vectors.rows import ArrayRows


def blobs(
    groups: int = 3, each: int = 20, dim: int = 6, noise: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """float32 [image, dim] about `groups` orthogonal points, in a shuffled order, and the group of
    each, int64 [image]."""
    generator = np.random.default_rng(seed)
    group = generator.permutation(np.repeat(np.arange(groups), each))
    x = np.eye(groups, dim)[group] + noise * generator.normal(size=(len(group), dim))
    return x.astype(np.float32), group


def neighbors_of(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each by cosine: int32 and float32 [image, neighbor]."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = (unit @ unit.T).astype(np.float32)
    np.fill_diagonal(cosine, -9)
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :k].astype(np.int32)
    return near, np.take_along_axis(cosine, near, axis=1)


def space_of(x: np.ndarray, k: int = 8) -> Space:
    return make_space(ArrayRows(x), neighbors_of(x, k)[0], neighbors=k)
