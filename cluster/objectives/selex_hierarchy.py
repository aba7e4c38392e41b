"""SelEx's hierarchy of clusters: each level halves the numbers of known groups and new clusters.

After SelEx (Rastegar et al., ECCV 2024, arXiv:2408.14371). At each level, k-means on the centroids
of the known classes groups these classes; all images that are in a known class at level 0 are
labelled with its group, and semi-supervised k-means clusters the others.
But: written independently of the published code, and all results are in the order of the images.
There, results of the upper levels list the images of known classes first, but are read in the order
of the data loader.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.balanced import even_size
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows, Rows


class Level(NamedTuple):
    """assignment: int32 [image]; centroids: float32 [cluster, dim]; group: int64 [known class of
    level 0], the group of each known class; clusters up to group.max() are groups of known
    classes."""

    assignment: np.ndarray
    centroids: np.ndarray
    group: np.ndarray


def hierarchy(
    rows: Rows,
    assignment: np.ndarray,
    centroids: np.ndarray,
    old: int,
    *,
    seed: int,
    n_init: int,
    max_iter: int,
    tol: float,
    balance: bool,
    init_images: int = 100_000,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda moved: None,
) -> list[Level]:
    """The levels above level 0, from the finest to the one with a single group of known classes;
    none for fewer than 2 known classes.

    assignment: int [image] and centroids: float32 [cluster, dim] of level 0, as from sskmeans;
    clusters below `old` are the known classes. `balance`: whether the passes of sskmeans that
    balance cluster sizes come first. All other arguments are those of sskmeans. Known classes with
    equal centroids share a group, so that there may be fewer groups. Raises ClusterError when
    assignment and rows or centroids do not match, or no image is in a new cluster.
    """
    k = len(centroids)
    if len(assignment) != len(rows) or not 0 <= assignment.min() <= assignment.max() < k:
        raise ClusterError(
            f"level 0 assigns {len(assignment)} images to clusters {assignment.min()} to "
            f"{assignment.max()}, expected {len(rows)} images and {k} clusters"
        )
    common: dict[str, Any] = {"n_init": n_init, "max_iter": max_iter, "tol": tol, "device": device}
    prototypes, known = ArrayRows(centroids[:old]), assignment < old
    groups, new, levels = old, k - old, list[Level]()
    while groups > 1:
        groups, new = max(groups // 2, 1), max(new // 2, 1)
        of_classes = kmeans(prototypes, groups, seeds=[seed], **common).centroids
        found = assign(prototypes, of_classes, device=device).assignment[0]
        group = np.unique(found, return_inverse=True)[1]  # drops empty groups
        label = np.where(known, group[np.where(known, assignment, 0)], -1)
        n_clusters = int(group.max()) + 1 + min(new, int((~known).sum()))
        fit = sskmeans(
            rows, label, n_clusters, seeds=[seed], **common,
            cluster_size=even_size(len(rows), n_clusters) if balance else None,
            init_images=init_images, progress=progress,
        )  # fmt: skip
        own = assign(rows, fit.centroids, label=label, device=device).assignment[0]
        levels.append(Level(own, fit.centroids[0], group))
    return levels
