"""Co-association of images: the share of clusterings that put two of them together.

After evidence accumulation (Fred and Jain, 2005), where the co-association of images i and j is
n_ij / N for N clusterings, taken for the nearest neighbours of each image only; and the similarity
of CSPA (Strehl and Ghosh, 2002), H H' / N, which is the same for all pairs. A graph is made of it,
which is then partitioned. But: the edges are those of the graph of shared nearest neighbours, and
keep its weights as a factor, so that memory grows with the images, not with their pairs; and images
that all clusterings put together are one point of the graph, a fragment, since no partition of
them could agree with anyone: the sum of all edges between two fragments joins them, and a fragment
is joined to itself by its own. The normalised cut of this graph is that of the whole one among the
partitions that keep fragments whole. The numbering of clusters has no influence.

Example: the clusterings {0 0 0 1} and {0 0 1 1} make the fragments {0 1}, {2} and {3}; the image
2 is with 0 and 1 in the first and with 3 in the second, so each of these pairs has 1/2.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROWS = 65_536  # images whose edges are counted at once


class Fragments(NamedTuple):
    """fragment: int32 [image], numbered by their first images; size: int64 [fragment], in images
    or what they weigh."""

    fragment: np.ndarray
    size: np.ndarray


def find_fragments(
    clusterings: Sequence[np.ndarray], copies: np.ndarray | None = None
) -> Fragments:
    """The groups of images that all `clusterings` (int [image] each) put together. `copies`: int
    [image], how often each image counts. Raises ClusterError without a clustering, or where they
    are of different images."""
    _require_alike(clusterings)
    fragment = np.zeros(len(clusterings[0]), np.int64)
    for own in clusterings:
        pair = fragment * (int(own.max(initial=0)) + 1) + own
        fragment = np.unique(pair, return_inverse=True)[1].reshape(len(own))
    first = np.unique(fragment, return_index=True)[1]
    number = np.empty(len(first), np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    numbered = number[fragment]
    return Fragments(numbered, np.bincount(numbered, copies).astype(np.int64))


def coassociation_graph(
    graph: "csr_array", clusterings: Sequence[np.ndarray], fragment: np.ndarray
) -> "csr_array":
    """The graph of the fragments: float64 csr [fragment, fragment], symmetric.

    graph: float64 csr [image, image], symmetric, with weights >= 0: the edges between which the
    co-association is taken, times their weight. fragment: int32 [image], of find_fragments.
    """
    from scipy.sparse import coo_array, csr_array

    _require_alike(clusterings)
    count = int(fragment.max(initial=-1)) + 1
    out = csr_array((count, count))
    for low in range(0, len(fragment), ROWS):
        high = min(low + ROWS, len(fragment))
        edges = slice(graph.indptr[low], graph.indptr[high])
        one = np.repeat(np.arange(low, high), np.diff(graph.indptr[low : high + 1]))
        other = graph.indices[edges]
        together = np.zeros(len(one), np.int32)
        for own in clusterings:
            together += own[one] == own[other]
        weight = graph.data[edges] * (together / len(clusterings))
        joined = np.flatnonzero(weight)
        ends = (fragment[one[joined]], fragment[other[joined]])
        out = out + csr_array(coo_array((weight[joined], ends), out.shape))
    # The sums of either direction are taken in different orders
    return csr_array((out + out.T) / 2)


def _require_alike(clusterings: Sequence[np.ndarray]) -> None:
    lengths = sorted({len(own) for own in clusterings})
    if len(lengths) != 1:
        said = (
            f"they are of {' and '.join(map(str, lengths))} images" if lengths else "none is given"
        )
        raise ClusterError(f"a consensus needs clusterings of the same images: {said}")
