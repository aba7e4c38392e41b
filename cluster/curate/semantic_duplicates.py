"""Semantic near-duplicates within clusters: of each group one image is kept, after SemDeDup (Abbas
et al. 2023, arXiv:2303.09540).

Kept is the image nearest to its centroid, the most typical of its group (ties: the lower row). From
there outwards an image is dropped if its cosine to one that is kept is 1 - ε or more.

But: SemDeDup drops an image for any earlier one that is like it, dropped or not, so that a chain of
images goes as a whole though its ends are unlike; here each dropped image has one that was kept, no
further than ε. And there the image furthest from its centroid is kept.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int32, Int64

from cluster.curate.segments import by_group
from cluster.neighbors.near_duplicates import leaders
from cluster.vectors.rows import Rows, Subset


def semantic_duplicates(
    rows: Rows,
    cluster: Int32[np.ndarray, " image"],
    distance: Float32[np.ndarray, " image"],
    epsilon: float,
    *,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Int64[np.ndarray, " image"]:
    """The image that is kept for each: itself, or the most similar kept one of its cluster.

    cluster: within which pairs are looked for; distance: of each image to its centroid; progress is
    called with the number of images done since the last call. Raises ClusterError when epsilon is
    not in [0, 1) or features are not finite.
    """
    kept = np.arange(len(rows))
    for members in from_the_centroid(cluster, distance):
        kept[members] = kept_within(rows, members, epsilon, device)
        progress(len(members))
    return kept


def from_the_centroid(
    cluster: Int32[np.ndarray, " image"], distance: Float32[np.ndarray, " image"]
) -> list[Int64[np.ndarray, " member"]]:
    """The images of each cluster that has any, the nearest to its centroid first."""
    order, size = by_group(cluster, distance), np.bincount(cluster)
    return [own for own in np.split(order, np.cumsum(size)[:-1]) if len(own)]


def kept_within(
    rows: Rows, members: Int64[np.ndarray, " member"], epsilon: float, device: str
) -> Int64[np.ndarray, " member"]:
    """The image that is kept for each of a cluster, whose most typical one comes first."""
    return members[leaders(Subset(rows, members), 1 - epsilon, device=device)]
