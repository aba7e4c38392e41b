"""k-means with clusters of about equal weight: a start that no large cluster can dominate.

The assignment is the optimal transport of images to clusters with an entropy, by the scaling of
Sinkhorn (Cuturi, NeurIPS 2013): P = u exp(-distance / (T x mean distance)) v, each row of the sum 1
and each column of the sum images / clusters. But: the centroids become the
means of the images of which a cluster has the largest share after three scalings, so that these are
right only once the centroids stand still; nothing of [image, cluster] is kept; and of many images
a sample finds the centroids and their scales.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from cluster.kernels.threads import on_cores

TEMPERATURE = 0.3  # of the mean distance
PASSES = 60
SCALINGS = 3  # passes before the centroids move
SAMPLE = 100_000  # images of which the sizes of clusters are made even
ROWS = 4096  # rows at once; fixed, since it decides the order of sums

Part = TypeVar("Part")


def balanced_clusters(
    x: np.ndarray, centroids: np.ndarray, copies: np.ndarray | None = None
) -> np.ndarray:
    """The cluster of the largest share of each row of float32 [image, dim], int32, starting from
    float32 [cluster, dim]. `copies`: int [image], how many images each row stands for."""
    whole, count = x, np.ones(len(x)) if copies is None else copies.astype(np.float64)
    if len(x) > SAMPLE:
        some = np.sort(np.random.default_rng(0).choice(len(x), SAMPLE, replace=False))
        x, count = x[some], count[some]
    images, k = len(x), len(centroids)
    center, scale = centroids.astype(np.float64), np.ones(k)
    total = sum(_of_blocks(images, partial(_sum_of_distances, x, count, center)))
    width = TEMPERATURE * max(total / count.sum() / k, 1e-30)
    for number in range(PASSES):
        parts = _of_blocks(images, partial(_sums, x, count, center, scale, width))
        share, size, sums = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        if number % SCALINGS == SCALINGS - 1:
            center = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], center)
        scale *= count.sum() / k / np.maximum(share, 1e-300)
        scale /= scale.max()

    def nearest(rows: slice) -> np.ndarray:
        return _shares(whole[rows], center, scale, width).argmax(axis=1)

    return np.concatenate(_of_blocks(len(whole), nearest)).astype(np.int32)


def _of_blocks(images: int, work: Callable[[slice], Part]) -> list[Part]:
    """work(rows) of each block of rows, in order."""
    found: dict[int, Part] = {}

    def some(low: int) -> None:
        found[low] = work(slice(low, low + ROWS))

    on_cores(some, starts := range(0, images, ROWS))
    return [found[low] for low in starts]


def _sum_of_distances(x: np.ndarray, count: np.ndarray, center: np.ndarray, rows: slice) -> float:
    return float(_distances(x[rows], center).sum(axis=1) @ count[rows])


def _sums(
    x: np.ndarray, count: np.ndarray, center: np.ndarray, scale: np.ndarray, width: float,
    rows: slice,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Of each cluster its share of the images, its size where each image has one cluster, and the
    sum of these images."""
    share = _shares(x[rows], center, scale, width)
    own = np.eye(len(center))[share.argmax(axis=1)] * count[rows, None]
    share *= (count[rows] / share.sum(axis=1))[:, None]
    return share.sum(axis=0), own.sum(axis=0), own.T @ x[rows]


def _shares(x: np.ndarray, center: np.ndarray, scale: np.ndarray, width: float) -> np.ndarray:
    """P of some rows, up to a factor of each."""
    distance = _distances(x, center)
    return np.exp((distance.min(axis=1, keepdims=True) - distance) / width) * scale


def _distances(x: np.ndarray, center: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    square = (x * x).sum(axis=1)[:, None] + (center * center).sum(axis=1) - 2 * (x @ center.T)
    return np.sqrt(np.maximum(square, 0))
