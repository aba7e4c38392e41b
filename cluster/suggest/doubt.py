"""How doubtful the label of each image is, from 0 to 1, without knowing any right one.

Two things speak against a label. The neighbours: with the share s of their weight for the image's
own label and b for the best other one, the vote is doubtful by v = (1 - (s - b)) / 2: 0 where all
agree, 1/2 at a tie, 1 where all agree on another. And other runs: the share d of them that put the
image elsewhere: into a cluster that neither has more than half of its images of that label nor
holds more than half of the label's images. So a run with more or with fewer clusters objects to
single images, and not to all of a label that it splits or joins. Doubt is 1 - (1 - v)(1 - d), that
either is right to object.
Example: 3 of 4 equal neighbours are of the image's label and 1 of another: v = (1 - 1/2) / 2 = 1/4;
of two runs one disagrees, d = 1/2; the doubt is 1 - 3/4 x 1/2 = 5/8.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.metrics.matching import contingency_table
from cluster.neighbors.knn_vote import CELLS, voter_weights, weighted_mode
from cluster.suggest.groups import NONE


class Doubt(NamedTuple):
    """doubt: float32 [image], 1 for an image without a label; second: int32 [image], the other
    label that most of the neighbours' weight is for, -1 where there is none; share: float32
    [image], how much that is."""

    doubt: np.ndarray
    second: np.ndarray
    share: np.ndarray


def doubt(
    neighbor: np.ndarray,
    similarity: np.ndarray,
    label: np.ndarray,
    runs: Sequence[np.ndarray] = (),
    decided: np.ndarray | None = None,
) -> Doubt:
    """The doubt of each image.

    neighbor: int [image, neighbor], positions in the images, nearest first; similarity: float32 of
    that shape; label: int [image], from 0, -1 where there is none; runs: other clusterings of the
    images, int [image] each; decided: bool [image], where a person has said it: no doubt. A
    neighbour without a label has no vote. Raises ClusterError when the shapes do not fit.
    """
    if neighbor.shape != similarity.shape or len(neighbor) != len(label):
        raise ClusterError(
            f"neighbours are {list(neighbor.shape)}, similarities {list(similarity.shape)} and "
            f"labels {list(label.shape)}: expected the same images in each"
        )
    own, second, other = _votes(neighbor, similarity, label)
    vote = (1 - (own - other)) / 2
    found = 1 - (1 - vote) * (1 - disagreement(label, runs))
    found = np.where(label == NONE, 1, found)
    if decided is not None:
        found = np.where(decided, 0, found)
    return Doubt(found.astype(np.float32), second, other.astype(np.float32))


def disagreement(label: np.ndarray, runs: Sequence[np.ndarray]) -> np.ndarray:
    """The share of `runs` (int [image] each) that put an image elsewhere than its `label`: float64
    [image]; 0 without runs. An image without a label, or outside of a run (-1), has no disagreement
    there."""
    out = np.zeros(len(label))
    values, own = np.unique(label, return_inverse=True)
    own = own.reshape(-1)
    for run in runs:
        if len(run) != len(label):
            raise ClusterError(f"a run has {len(run)} images, the labels {len(label)}")
        inside = (run >= 0) & (label != NONE)
        if not inside.any():
            continue
        k = int(run.max()) + 1
        table = contingency_table(run[inside], own[inside], k, len(values))
        cluster = np.maximum(run, 0)
        both = 2 * table[cluster, own]
        mostly, main = both > table.sum(axis=1)[cluster], both > table.sum(axis=0)[own]
        out += inside & ~mostly & ~main
    return out / max(len(runs), 1)


def _votes(
    neighbor: np.ndarray, similarity: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of the own label, the best other one, and its share."""
    images, voters = neighbor.shape
    own, other = np.zeros(images), np.zeros(images)
    second = np.full(images, NONE, np.int32)
    step = max(1, CELLS // max(1, voters))
    for start in range(0, images if voters else 0, step):
        here = slice(start, start + step)
        of = label[neighbor[here]]
        weight = voter_weights(similarity[here], of != NONE)
        none = ~weight.any(axis=1)  # all neighbours lack a label
        whole = np.where(none, 1, weight.sum(axis=1))
        agree = of == label[here, None]
        own[here] = (weight * agree).sum(axis=1) / whole
        rest = np.where(agree, 0, weight)
        some = rest.any(axis=1)
        found, share = weighted_mode(of[some], rest[some])
        second[start + np.flatnonzero(some)] = found
        other[start + np.flatnonzero(some)] = share * rest[some].sum(axis=1) / whole[some]
    return own, second, other
