"""How strange each image is: for its cluster, and for the collection.

- Its distance to the k-th neighbour, against the distribution of that distance in its cluster (the
  k-nearest-neighbour outlier score of Ramaswamy et al. 2000, made local).
- Its typicality, one over the mean distance to the k nearest (TypiClust, Hacohen et al. 2022, eq.
  1), against that of all images.

Each is told in robust deviations: (x - median) / (1.4826 MAD), of which a normal distribution has
0.1 % above 3. The score is the lower of both: an image of a loose cluster is not strange for being
far from the next, nor one at the border of a dense cluster if it is as near to others as most are.

Copies of an image (`kept`) are no neighbours of it, else a foreign picture that is there several
times over would seem typical. Clusters of fewer than FEW images say little about how far apart
their images lie, and strange ones make a small cluster of their own: those are held against all.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64

from cluster.curate.segments import medians
from cluster.errors import ClusterError

FEW = 50  # images of a cluster below which it is held against all
NORMAL = 1.4826  # standard deviations of a normal distribution that are one MAD
BLOCK = 65_536  # images whose neighbours are looked at together


def outlier_scores(
    neighbor: Int[np.ndarray, "image neighbor"],
    dissimilar: Float64[np.ndarray, "image neighbor"],
    kept: Int64[np.ndarray, " image"],
    cluster: Int[np.ndarray, " image"],
    k: int,
) -> Float32[np.ndarray, " image"]:
    """Robust deviations; 0 is usual, higher ones are stranger.

    neighbor: other images, nearest first; dissimilar: how far each is; kept: the image that is kept
    for each, itself of those without a near-duplicate. Where a table has fewer than k neighbours
    that are no copies, the last counts.
    """
    if not 1 <= k <= neighbor.shape[1]:
        raise ClusterError(f"neighbour {k} is asked for, the table has {neighbor.shape[1]}")
    furthest, mean = _kth_and_mean(neighbor, dissimilar, kept, k)
    everyone = np.zeros(len(cluster), np.int64)
    here = _deviations(furthest, cluster, FEW)
    return np.minimum(here, _deviations(mean, everyone, 0)).astype(np.float32)


def _kth_and_mean(
    neighbor: np.ndarray, dissimilar: np.ndarray, kept: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each image the distance to the k-th of its neighbours that are no copies, and the mean of
    those up to it; both float64 [image]."""
    furthest, mean = np.empty(len(neighbor)), np.empty(len(neighbor))
    for start in range(0, len(neighbor), BLOCK):
        here = slice(start, start + BLOCK)
        near, far = neighbor[here], dissimilar[here].astype(np.float64)
        own = kept[here, None]
        other = (kept[near] == near) & (near != own)
        nth = other.cumsum(axis=1)
        counted = other & (nth <= k)
        last = np.where(counted, np.arange(near.shape[1]), -1).max(axis=1)  # -1: copies alone
        furthest[here] = far[np.arange(len(far)), last]
        number = counted.sum(axis=1)
        sums = np.where(counted, far, 0).sum(axis=1)
        mean[here] = np.where(number > 0, sums / np.maximum(number, 1), furthest[here])
    return furthest, mean


def _deviations(value: np.ndarray, group: np.ndarray, few: int) -> np.ndarray:
    """Of each image from the median of its group, or of all where the group has fewer than `few`
    images or does not vary: float64 [image]. 0 where all images are alike."""
    groups = int(group.max(initial=-1)) + 1
    size = np.bincount(group, minlength=groups)
    middle = medians(value, group, groups)
    spread = medians(np.abs(value - middle[group]), group, groups)
    of_all = np.median(value)
    small = size < few
    middle[small] = of_all
    spread_of_all = np.median(np.abs(value - of_all))
    spread[small | (spread == 0)] = spread_of_all
    scale = NORMAL * spread[group]
    return np.divide(value - middle[group], scale, where=scale > 0, out=np.zeros(len(value)))
