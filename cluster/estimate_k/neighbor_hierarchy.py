"""A hierarchy of clusters by nearest neighbours in which known classes never mix.

After the selective neighbour clustering of CiPR (Hao, Han and Wong, TMLR 2024, arXiv:2304.06928),
which builds on FINCH (Sarfraz et al., CVPR 2019, arXiv:1902.11266). On the first level every image
is a point, on each other one every cluster is, at the mean of its images. A point without a label
is tied to its nearest point, one with a label to the nearest with the same label; what is tied
together is a cluster of the next level, which has the label of its points. No path of ties leads
from one class to another, so that no cluster has two labels. The levels end where nothing can be
tied any more. `merges` goes on from a level by merging the two closest clusters at a time.

But: all labelled points of a class may be tied, where CiPR limits their chains in length.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.cluster_sums import add_to_sums, empty_sums
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows, Rows, Subset
from cluster.vectors.tiles import tiles


class Level(NamedTuple):
    """own: int32 [image], the cluster of each image, 0 to k - 1; label: int64 [cluster], a class or
    -1; centroid: float32 [cluster, dim], the mean of its images; size: int64 [cluster], images."""

    own: np.ndarray
    label: np.ndarray
    centroid: np.ndarray
    size: np.ndarray


def levels(rows: Rows, label: np.ndarray, *, device: str = "cpu") -> Iterator[Level]:
    """The levels from fine to coarse, each of fewer clusters; label: int64 [image], the class, -1
    where it is unknown. Vectors are compared by their cosine."""
    points, own, seen = rows, np.arange(len(rows)), label
    while len(points) > 1:
        to = _components(_ties(points, seen, device))
        k = int(to.max()) + 1
        if k == len(points):
            return
        own, joined = to[own], np.full(k, -1, np.int64)
        np.maximum.at(joined, to, seen)
        seen = joined
        found = Level(own.astype(np.int32), seen, *_means(rows, own))
        yield found
        points = ArrayRows(found.centroid)


def merges(level: Level, k: int) -> Iterator[np.ndarray]:
    """Merge the two clusters of highest cosine, one pair at a time, down to `k` clusters or as far
    as clusters of different classes allow. After each merge the new cluster of every cluster of
    `level`: int64 [cluster], 0 to one less than before. Takes [cluster, cluster] numbers."""
    sums, label = level.centroid * level.size[:, None].astype(np.float64), level.label.copy()
    to, live = np.arange(len(sums)), np.arange(len(sums))
    while len(live) > k:
        unit = sums[live] / np.maximum(np.linalg.norm(sums[live], axis=1, keepdims=True), 1e-12)
        cosine, own = unit @ unit.T, label[live]
        apart = (own[:, None] >= 0) & (own >= 0) & (own[:, None] != own)
        cosine[apart | np.tri(len(live), dtype=bool)] = -np.inf
        i, j = divmod(int(cosine.argmax()), len(live))
        if cosine[i, j] == -np.inf:
            return
        a, b = live[i], live[j]
        sums[a] += sums[b]
        label[a] = max(label[a], label[b])
        to[to == b] = a
        live = np.delete(live, j)
        yield np.searchsorted(live, to)


def _ties(points: Rows, label: np.ndarray, device: str) -> np.ndarray:
    """The point that each is tied to, its own number where it is alone in its class: int64."""
    to = np.arange(len(points))
    for c in np.unique(label):
        of = np.flatnonzero(label == c)
        some = Subset(points, of)
        among, own = (points, of) if c < 0 else (some, np.arange(len(of)))
        if len(among) > 1:
            near = nearest_neighbors(some, among, 1, metric="cosine", own=own, device=device)
            to[of] = near.neighbor[:, 0] if c < 0 else of[near.neighbor[:, 0]]
    return to


def _components(to: np.ndarray) -> np.ndarray:
    """The components of a graph in which point i is tied to `to[i]`, numbered by their first point:
    int64 [point]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(to)
    graph = coo_array((np.ones(n, np.int8), (np.arange(n), to)), shape=(n, n))
    _, first, own = np.unique(
        connected_components(graph, directed=False)[1], return_index=True, return_inverse=True
    )
    return np.argsort(np.argsort(first))[own]


def _means(rows: Rows, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each cluster, float32 [cluster, dim], and its size, int64 [cluster]."""
    sums, size, cluster = empty_sums(rows.dim, "cpu"), np.bincount(own), torch.from_numpy(own)
    for here, x in tiles(rows, "cpu"):
        group, image = cluster[here].to(torch.int64), torch.arange(len(x))
        sums = add_to_sums(sums, x, image, group, torch.ones_like(group))
    return (sums.sums.numpy() / size[:, None]).astype(np.float32), size
