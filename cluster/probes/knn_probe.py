"""k-NN probe: classify an image by the labels of its nearest neighbours, without any fitting.

The weighted k-nearest-neighbour classifier of Wu et al. (2018), as used by DINO (arXiv:2104.14294):
the vote of a neighbour has weight exp(similarity / temperature). But: it reads the table of
neighbours, which excludes the image itself, so that it applies to training images too.
"""

from collections.abc import Sequence

import numpy as np

from cluster.errors import ClusterError
from cluster.neighbors.knn_vote import weighted_mode

CELLS = 4_000_000  # votes in one array


def knn_probe(
    neighbor: np.ndarray,
    similarity: np.ndarray,
    label_of: np.ndarray,
    *,
    k: Sequence[int],
    temperature: float,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """The class of each image by its first `k` neighbours, int32 [setting, image].

    neighbor: int [image, neighbor], nearest first, indices into label_of; similarity: float32 of
    the same shape; label_of: int [image], -1 where unknown; images: int64 [image], rows of these
    tables, or None for all. A neighbour without a label has no vote; an image whose neighbours all
    lack labels gets -1. Ties: the lower class. Raises ClusterError when a k is not in
    1..neighbours, or the temperature is not above 0.
    """
    _require_firsts(k, neighbor)
    if not temperature > 0:
        raise ClusterError(f"the temperature is {temperature}: it has to be above 0")
    images = np.arange(len(neighbor)) if images is None else images
    out = np.empty((len(k), len(images)), np.int32)
    step = max(1, CELLS // neighbor.shape[1])
    for start in range(0, len(images), step):
        here = slice(start, start + step)
        label = label_of[neighbor[images[here]]]
        similar = np.where(label >= 0, similarity[images[here]].astype(np.float64), -np.inf)
        for setting, first in enumerate(k):
            top = similar[:, :first].max(axis=1, keepdims=True)
            # Relative to the largest, which cannot overflow and changes no ratio of votes
            none = np.isneginf(top)
            weight = np.exp((similar[:, :first] - np.where(none, 0, top)) / temperature)
            weight = np.where(none, 1, weight)
            out[setting, here] = weighted_mode(label[:, :first], weight)[0]
    return out


def purity(
    neighbor: np.ndarray,
    label: np.ndarray,
    label_of: np.ndarray,
    firsts: Sequence[int],
    images: np.ndarray | None = None,
) -> np.ndarray:
    """The share of the first neighbours that have the image's own class, averaged over images:
    float64 [setting], for each number of neighbours in `firsts`.

    neighbor: int [image, neighbor], indices into label_of; images: int64 [image], rows of it, or
    None for all; label: int [image], of these. Images and neighbours without a label do not count;
    nan where none does. Raises ClusterError when a number is not in 1..neighbours.
    """
    _require_firsts(firsts, neighbor)
    images = np.arange(len(neighbor)) if images is None else images
    total, counted = np.zeros(len(firsts)), np.zeros(len(firsts), np.int64)
    step = max(1, CELLS // neighbor.shape[1])
    for start in range(0, len(images), step):
        here = slice(start, start + step)
        theirs, own = label_of[neighbor[images[here]]], label[here, None]
        for setting, first in enumerate(firsts):
            known = (theirs[:, :first] >= 0) & (own >= 0)
            same = (known & (theirs[:, :first] == own)).sum(axis=1)
            of = known.sum(axis=1)
            total[setting] += (same[of > 0] / of[of > 0]).sum()
            counted[setting] += (of > 0).sum()
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def _require_firsts(firsts: Sequence[int], neighbor: np.ndarray) -> None:
    for first in firsts:
        if not 1 <= first <= neighbor.shape[1]:
            raise ClusterError(
                f"the first {first} neighbours are asked for, the table has {neighbor.shape[1]}"
            )
