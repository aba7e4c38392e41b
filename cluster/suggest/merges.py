"""Pairs of groups that look alike, best first: merge them?

By the edge information that a merge would cost (cluster.block_model.information, merges): what the
group at one end of an edge of the graph of neighbours says about the other end's. It is divided by
the geometric mean of the two groups' shares of the edges, so that small groups are not first only
because they cost little. On over-clusterings of three collections with known classes it found pairs
of one class better than the cosine of the centres, or than the edges between two groups alone.
The evidence says what a person can follow: edges between the two beside what their sizes alone
would give (the degree-corrected null model: of groups with the shares r_a and r_b of all edge ends
2 r_a r_b of the edges run between them), and the cosine of the centres.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.information import cluster_weights
from cluster.block_model.merges import merge_losses
from cluster.suggest.groups import NONE, require_same_images
from cluster.suggest.typical import unit_means

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Merges(NamedTuple):
    """Pairs, best first, all [pair]. one, other: int32, groups, one < other; score: float64, minus
    the information lost per share of the edges: the higher, the more alike; ratio: float64, edges
    between them over what is expected by chance; cosine: float64, of the centres."""

    one: np.ndarray
    other: np.ndarray
    score: np.ndarray
    ratio: np.ndarray
    cosine: np.ndarray


def propose_merges(
    graph: "csr_array",
    vectors: np.ndarray,
    group: np.ndarray,
    name: np.ndarray | None = None,
    *,
    least: float = 1.0,
    most: int = 20,
) -> Merges:
    """At most `most` pairs with more than `least` times the edges that chance would give.

    graph: float csr [image, image], symmetric; vectors: float32 [image, dim], of length 1; group:
    int [image], from 0, -1 outside of all; name: int [group], the name that a person gave it, -1
    if none: no pair with two different names, nor two equal ones, is proposed. Raises ClusterError
    when the images differ.
    """
    require_same_images(graph, vectors, group)
    inside = np.flatnonzero(group != NONE)
    used, own = np.unique(group[inside], return_inverse=True)
    own = own.reshape(-1).astype(np.int32)
    if len(used) < 2:
        nobody = np.zeros(0)
        return Merges(nobody.astype(np.int32), nobody.astype(np.int32), nobody, nobody, nobody)
    part = graph if len(inside) == len(group) else graph[inside][:, inside]
    weight = cluster_weights(part, own, len(used)).weight
    share = weight / max(weight.sum(), 1e-300)
    ends = share.sum(axis=1)
    one, other = np.nonzero(np.triu(share, 1))
    ratio = share[one, other] / (ends[one] * ends[other])
    centre, _ = unit_means(vectors[inside], own)
    cosine = np.einsum("ij,ij->i", centre[one], centre[other], dtype=np.float64)
    score = -merge_losses(weight)[one, other] / np.sqrt(ends[one] * ends[other])
    free = ratio > least
    if name is not None:
        names = np.asarray(name)[used]
        free &= (names[one] == NONE) | (names[other] == NONE)
    kept = np.flatnonzero(free)
    kept = kept[np.lexsort([other[kept], one[kept], -score[kept]])][:most]
    first, second = (used[each[kept]].astype(np.int32) for each in (one, other))
    return Merges(first, second, score[kept], ratio[kept], cosine[kept])
