"""Shared-nearest-neighbour graph: edges weighted by the neighbours that two images share.

After Jarvis and Patrick (1973). The list of an image holds its k nearest neighbours and itself.
Two images are joined when either is in the list of the other; the weight is the number of images in
both lists, over k + 1: from 1/(k + 1) to 1, which equal lists have. Example with k = 2: the lists
{0 1 2} and {1 0 3} share 0 and 1, so the edge 0-1 has the weight 2/3.
But: edges have weights, where the original joins images that are in each other's lists and share
more than a threshold; and an image counts as its own neighbour, so that no weight is 0.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

COST = 15_000_000  # pairs of list entries that are processed at once (some hundred MB)


def shared_neighbor_graph(neighbor: np.ndarray) -> "csr_array":
    """The weights as float64 csr [image, image], symmetric, without a diagonal.

    neighbor: int [image, neighbor], positions among these images. Raises ClusterError when a list
    holds a position out of range, its own image, or an image twice.
    """
    from scipy.sparse import csr_array

    _require_lists(neighbor)
    images, k = neighbor.shape
    if not neighbor.size:
        return csr_array((images, images))
    blocks = list(_blocks(neighbor))
    begin = _begins(np.concatenate([length for length, _, _ in blocks]))
    other, weight = np.empty(begin[-1], np.int32), np.empty(begin[-1])
    blocks.reverse()
    stop = 0
    while blocks:  # each goes when it is copied
        _, own, shared = blocks.pop()
        start, stop = stop, stop + len(own)
        other[start:stop] = own
        np.divide(shared, k + 1, out=weight[start:stop])
    return csr_array((weight, other, begin), (images, images))


def jaccard_graph(neighbor: np.ndarray) -> "csr_array":
    """The same edges, weighted by the images in both lists over those in either (Jaccard 1912):
    with s the weight above, s / (2 - s)."""
    graph = shared_neighbor_graph(neighbor)
    for start in range(0, graph.nnz, COST):  # no second array of all edges
        weight = graph.data[start : start + COST]
        np.divide(weight, 2 - weight, out=weight)
    return graph


def _blocks(neighbor: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of the graph, block by block: the number of edges of each image, int [image]; the other
    image of each edge, sorted, int32 [edge]; and the size of the overlap, uint16 [edge]."""
    from scipy.sparse import csr_array

    images, k = neighbor.shape
    member = np.column_stack([np.arange(images, dtype=np.int32), neighbor.astype(np.int32)])
    member.sort(axis=1)
    begin = _begins(np.full(images, k + 1))
    lists = csr_array((np.ones(member.size, np.uint16), member.ravel(), begin), (images, images))
    listed = lists.T.tocsr()
    for low, high in _steps(member, np.diff(listed.indptr)):
        joined = (lists[low:high] + listed[low:high]).astype(bool)
        block = (lists[low:high] @ listed).multiply(joined).tocsr()
        block.setdiag(0, k=low)
        block.eliminate_zeros()
        block.sort_indices()
        yield np.diff(block.indptr), block.indices, block.data


def _begins(length: np.ndarray) -> np.ndarray:
    """The index pointer of rows of such lengths: 32-bit if possible, since scipy then stores the
    column indices in 32 bits as well."""
    out = np.concatenate([[0], np.cumsum(length, dtype=np.int64)])
    return out.astype(np.int32) if out[-1] < 2**31 else out


def _steps(member: np.ndarray, lists_with: np.ndarray) -> list[tuple[int, int]]:
    """Blocks of rows (low, high) of about equal cost: an image in many lists is expensive."""
    cost = np.cumsum(lists_with[member].sum(axis=1, dtype=np.int64))
    cuts = np.searchsorted(cost, np.arange(COST, cost[-1], COST), side="right")
    edges = np.unique(np.concatenate([[0], cuts, [len(member)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _require_lists(neighbor: np.ndarray) -> None:
    images = len(neighbor)
    if not neighbor.size:
        return
    if not 0 <= neighbor.min() <= neighbor.max() < images:
        raise ClusterError(
            f"neighbours are {neighbor.min()} to {neighbor.max()}, expected positions among the "
            f"{images} images: 0 to {images - 1}"
        )
    ordered = np.sort(neighbor, axis=1)
    wrong = (neighbor == np.arange(images)[:, None]).any(axis=1)
    wrong |= (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if wrong.any():
        raise ClusterError(
            f"the neighbours of image {int(wrong.argmax())} hold itself, or an image twice: make "
            "the table of neighbours again"
        )
