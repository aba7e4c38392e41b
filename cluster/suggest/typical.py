"""The images of a group from the most to the least typical of it.

First those whose nearest neighbours lie in the group (cluster.neighbors.knn_vote.support), which is
what its inside is in any shape of group; among equals those nearest to its centre. But: the support
is rounded to tenths, since the inside of a group is often all 1 and finer steps are chance.
"""

import numpy as np

from cluster.errors import ClusterError
from cluster.neighbors.knn_vote import support

STEPS = 10  # of the support


def own_support(neighbor: np.ndarray, similarity: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The share of the neighbours' weight that carries the image's own label: float32 [image].

    neighbor: int [image, neighbor], positions in the images; similarity: float32 of that shape;
    label: int [image], -1 where there is none. At most as many neighbours count as the label has
    other images. 0 for an image without a label.
    """
    _, group, size = np.unique(label, return_inverse=True, return_counts=True)
    own = group.reshape(1, -1).astype(np.int32)
    share = support(neighbor, similarity, own, own, size[own] - 1)[0]
    return np.where(label >= 0, share, np.float32(0))


def typical_order(member: np.ndarray, supported: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The images int64 [member], most typical first.

    supported: float [image], of `own_support`; away: float [image], how far each image is from its
    group's centre, in any unit. Equal ones by their place. Raises ClusterError when a member is
    none of the images.
    """
    if len(supported) != len(away):
        raise ClusterError(f"{len(supported)} images have a support, {len(away)} a distance")
    if len(member) and not 0 <= member.min() <= member.max() < len(away):
        raise ClusterError(
            f"the members are {member.min()} to {member.max()}, expected 0 to {len(away) - 1}"
        )
    step = np.round(np.asarray(supported, np.float64)[member] * STEPS)
    return member[np.lexsort([member, away[member], -step])].astype(np.int64)


def away_from_centre(vectors: np.ndarray, label: np.ndarray) -> np.ndarray:
    """1 - cosine of each image with the mean of its label's vectors, float32 [image].

    vectors: float32 [image, dim], of length 1. 1 for an image without a label (-1).
    """
    centre, group = unit_means(vectors, label)
    cosine = np.einsum("ij,ij->i", vectors, centre[group], dtype=np.float64)
    return np.where(label >= 0, 1 - cosine, 1).astype(np.float32)


def unit_means(vectors: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean vector of each label that occurs, in their order, at length 1, float32 [label, dim];
    and the place of each image's label among them, int64 [image]."""
    values, group = np.unique(label, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(len(values)))
    total = np.zeros((len(values), vectors.shape[1]))
    if len(values):
        total = np.add.reduceat(vectors[order], start, axis=0, dtype=np.float64)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-12)).astype(np.float32), group
