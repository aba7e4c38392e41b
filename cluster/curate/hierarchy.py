"""Hierarchical k-means with resampling, after Vo et al. 2024 (arXiv:2405.15613, section 3.2).

The first level clusters the images, each later one the centroids of the level below. k-means puts
more centroids where images are dense. So, several times, the r points nearest to each centroid are
clustered anew, from k-means++ on, and all points are assigned to what comes of it: of a dense
region these points are no more than of a sparse one, so that the centroids spread evenly.

But: a cluster that no point is nearest to is dropped, so a level may have fewer than k.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float32, Int32, Int64

from cluster.curate.segments import first_of_each
from cluster.errors import ClusterError
from cluster.kmeans.api import kmeans, require_k
from cluster.kmeans.assign import Nearest, assign
from cluster.vectors.rows import Rows, Subset


class Clustering(Protocol):
    """k-means of some of the points, all where `sample` is None (else int64 [point]): the centroids
    of at most k clusters, float32 [cluster, dim], and the nearest of them to each of all points."""

    def __call__(
        self, sample: np.ndarray | None, k: int
    ) -> tuple[Float32[np.ndarray, "cluster dim"], Nearest]: ...


class Level(NamedTuple):
    """assignment: the cluster of each point, a centroid of the level below or, of the first level,
    an image; distance: Euclidean, to its centroid. Each cluster has a point."""

    centroids: Float32[np.ndarray, "cluster dim"]
    assignment: Int32[np.ndarray, " point"]
    distance: Float32[np.ndarray, " point"]


def fit_level(
    n_points: int,
    k: int,
    cluster: Clustering,
    *,
    resampling: int,
    nearest: int,
    begun: tuple[Level, int] | None = None,
    keep: Callable[[Level, int], object] = lambda level, done: None,
) -> Level:
    """One level of at most k clusters of so many points, which `cluster` clusters.

    resampling: how many times the `nearest` points of each centroid are clustered anew. keep is
    called after each k-means with the level so far and how many were done, from which `begun` goes
    on. Raises ClusterError when k is not in 1..points.
    """

    require_k(k, n_points)
    if nearest < 1:
        raise ClusterError(f"{nearest} points nearest to each centroid: expected 1 or more")
    level, done = begun or (None, 0)
    while done <= resampling:
        sample = None
        if level is not None:
            number = np.full(len(level.centroids), nearest)
            sample = first_of_each(level.assignment, level.distance, number)
        centroids, found = cluster(sample, k if sample is None else min(k, len(sample)))
        level = _without_empty(centroids, found.assignment[0], found.distance[0])
        done += 1
        keep(level, done)
    assert level is not None
    return level


def clustering(
    points: Rows,
    *,
    seed: int,
    n_init: int,
    max_iter: int,
    tol: float,
    init_images: int,
    device: str = "cpu",
) -> Clustering:
    """By the k-means of this process, of `points` [point, dim]; the rest as there."""

    def cluster(sample: np.ndarray | None, k: int) -> tuple[np.ndarray, Nearest]:
        fit = kmeans(
            points if sample is None else Subset(points, sample), k, seeds=[seed], n_init=n_init,
            max_iter=max_iter, tol=tol, init_images=init_images, device=device,
        )  # fmt: skip
        return fit.centroids[0], assign(points, fit.centroids, device=device)

    return cluster


def feasible_levels(k: list[int], distinct: int) -> list[int]:
    """The numbers of clusters that can be, of k (falling) and so many distinct vectors: no more
    than these, and each fewer than the one before. One at least."""
    out = list[int]()
    for most in (min(one, distinct) for one in k):
        if not out or most < out[-1]:
            out.append(most)
    return out


def images_of_levels(assignment: list[np.ndarray]) -> list[Int32[np.ndarray, " image"]]:
    """The cluster of each image at each level. assignment: int32 [point] of each level."""
    out = [assignment[0]]
    for parent in assignment[1:]:
        out.append(parent[out[-1]])
    return out


def _without_empty(centroids: np.ndarray, assignment: np.ndarray, distance: np.ndarray) -> Level:
    there: Int64[np.ndarray, " cluster"] = np.flatnonzero(
        np.bincount(assignment, minlength=len(centroids))
    )
    number = np.zeros(len(centroids), np.int32)
    number[there] = np.arange(len(there), dtype=np.int32)
    return Level(centroids[there], number[assignment], distance)
