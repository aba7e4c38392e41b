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
from cluster.kernels.jit import in_order
from cluster.scratch import scratch_array
from cluster.spectral.row_blocks import ROWS, Block, begins, of_blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

COST = 15_000_000  # pairs of list entries that are processed at once (some hundred MB)


def shared_neighbor_graph(neighbor: np.ndarray) -> "csr_array":
    """The weights as float64 csr [image, image], symmetric, without a diagonal.

    neighbor: int [image, neighbor], positions among these images. Its arrays are scratch_arrays: no
    more than some hundred MB of the process's own memory, whatever the number of images. Raises
    ClusterError when a list holds a position out of range, its own image, or an image twice, or
    when 2 x images x neighbours, more than which edges cannot be, is 2^31 or more.
    """
    from scipy.sparse import csr_array

    images = len(neighbor)
    if 2 * neighbor.size >= 2**31:
        raise ClusterError(
            f"{images} images with {neighbor.shape[1]} neighbours may have more edges than 2^31, "
            f"too many: ask for {(2**30 - 1) // images} neighbours or fewer, or for a sample"
        )
    _require_lists(neighbor)
    if not neighbor.size:
        return csr_array((images, images))
    return of_blocks(_blocks(neighbor), images, 2 * neighbor.size)


def jaccard_graph(neighbor: np.ndarray) -> "csr_array":
    """The same edges, weighted by the images in both lists over those in either (Jaccard 1912):
    with s the weight above, s / (2 - s)."""
    graph = shared_neighbor_graph(neighbor)
    for start in range(0, graph.nnz, COST):  # no second array of all edges
        weight = graph.data[start : start + COST]
        np.divide(weight, 2 - weight, out=weight)
    return graph


def _blocks(neighbor: np.ndarray) -> Iterator[Block]:
    """Rows of the graph, block by block."""
    from scipy.sparse import csr_array

    images, k = neighbor.shape
    member = scratch_array((images, k + 1), np.int32)
    lists_with = np.zeros(images, np.int64)  # an image is in so many
    for low in range(0, images, ROWS):
        some = member[low : low + ROWS]
        some[:, 0] = np.arange(low, low + len(some))
        some[:, 1:] = neighbor[low : low + ROWS]
        some.sort(axis=1)
        _count(some, lists_with)
    flat, ones = member.reshape(-1), scratch_array(member.size, np.uint16)
    ones[:] = 1
    begin, found = begins(np.full(images, k + 1)), scratch_array(member.size, np.int32)
    _transpose(member, begins(lists_with)[:-1].astype(np.int64), found)
    lists = csr_array((ones, flat, begin), (images, images))
    listed = csr_array((ones, found, begins(lists_with)), (images, images))
    for low, high in _steps(member, lists_with):
        joined = (lists[low:high] + listed[low:high]).astype(bool)
        block = (lists[low:high] @ listed).multiply(joined).tocsr()
        block.setdiag(0, k=low)
        block.eliminate_zeros()
        block.sort_indices()
        yield np.diff(block.indptr), block.indices, np.divide(block.data, k + 1, dtype=np.float64)


@in_order
def _count(member: np.ndarray, lists_with: np.ndarray) -> None:
    for image in range(len(member)):
        for column in range(member.shape[1]):
            lists_with[member[image, column]] += 1


@in_order
def _transpose(member: np.ndarray, end: np.ndarray, out: np.ndarray) -> None:
    """Which lists hold each image, sorted. `end`: where those of each image begin in `out`; it
    moves along."""
    for image in range(len(member)):
        for column in range(member.shape[1]):
            there = member[image, column]
            out[end[there]] = image
            end[there] += 1


def _steps(member: np.ndarray, lists_with: np.ndarray) -> list[tuple[int, int]]:
    """Blocks of rows (low, high) of about equal cost: an image in many lists is expensive."""
    each = np.empty(len(member), np.int64)
    for low in range(0, len(member), ROWS):
        rows = slice(low, low + ROWS)
        each[rows] = lists_with[member[rows]].sum(axis=1)
    cost = np.cumsum(each)
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
    for low in range(0, images, ROWS):
        some = neighbor[low : low + ROWS]
        ordered = np.sort(some, axis=1)
        wrong = (some == np.arange(low, low + len(some))[:, None]).any(axis=1)
        wrong |= (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if wrong.any():
            raise ClusterError(
                f"the neighbours of image {low + int(wrong.argmax())} hold itself, or an image "
                "twice: make the table of neighbours again"
            )
