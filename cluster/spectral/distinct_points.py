"""Equal vectors as one point with a weight, for a graph that does not depend on their order.

A table of neighbours lists of many equal vectors the lowest rows, and nothing else: a graph of it
falls into parts that the order of the rows makes. Here the graph joins distinct vectors. It stands
for the graph of all images in which copies share the neighbours of their vector and are joined to
one another by the weight of equal lists, 1: this has the same eigenvalues, and its leading
eigenvectors are equal for copies, so that they are those of the smaller graph,

    W'[a, b] = m_a m_b W[a, b],  W'[a, a] = m_a (m_a - 1),

with m_a the number of copies.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cluster.kernels.similarity import Metric
from cluster.neighbors.equal_rows import Distinct
from cluster.neighbors.exact import nearest_neighbors
from cluster.scratch import scratch_array
from cluster.spectral.row_blocks import ROWS, Block, of_blocks, of_rows
from cluster.vectors.rows import Rows, Subset

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK = 65_536  # vectors whose neighbours are sorted at once


def neighbors_of_distinct(
    rows: Rows,
    neighbor: np.ndarray,
    distinct: Distinct,
    k: int,
    *,
    metric: Metric,
    device: str = "cpu",
) -> np.ndarray:
    """The k nearest distinct vectors of each distinct vector, or all others where there are fewer:
    int32 [vector, neighbor].

    neighbor: int [image, neighbor], the table of the rows, nearest first. A vector whose neighbours
    in it are too few, since they are copies, is searched for among the distinct ones.
    """
    vectors = len(distinct.first)
    out = scratch_array((vectors, k := min(k, vectors - 1)), np.int32)
    short = []
    for start in range(0, vectors, BLOCK):
        number = np.arange(start, min(start + BLOCK, vectors))
        near = distinct.vector[neighbor[distinct.first[number]]]
        new = _are_new(near) & (near != number[:, None])
        order = np.argsort(~new, axis=1, kind="stable")[:, :k]
        out[number, : order.shape[1]] = np.take_along_axis(near, order, 1)
        short.append(number[new.sum(1) < k])
    again = np.concatenate(short)
    if len(again):
        points = Subset(rows, distinct.first)
        found = nearest_neighbors(
            Subset(points, again), points, k, metric=metric, own=again, device=device
        )
        out[again] = found.neighbor
    return out


def weighted_graph(graph: "csr_array", copies: np.ndarray) -> "csr_array":
    """W' of the graph W (without a diagonal) of distinct vectors, with int [vector] `copies`."""
    from scipy.sparse import csr_array, diags_array

    vectors, more = len(copies), int((copies > 1).sum())
    inside = copies * (copies - 1.0)

    def blocks() -> Iterator[Block]:
        for low in range(0, vectors, ROWS):
            here, number = of_rows(graph, low, ROWS), np.arange(low, min(low + ROWS, vectors))
            begin = graph.indptr[low : low + len(number) + 1]
            other = graph.indices[here]
            weight = np.repeat(copies[number], np.diff(begin)) * graph.data[here] * copies[other]
            shape = (len(number), vectors)
            joined = csr_array((weight, other, begin - begin[0]), shape)
            same = diags_array(inside[number], offsets=low, shape=shape)
            block = csr_array(joined + same)
            yield np.diff(block.indptr), block.indices, block.data

    return of_blocks(blocks(), vectors, graph.nnz + more)


def _are_new(number: np.ndarray) -> np.ndarray:
    """Where a number of a row was not in it before: bool, of the shape of int [row, column]."""
    order = np.argsort(number, axis=1, kind="stable")
    ordered = np.take_along_axis(number, order, 1)
    new = np.ones(number.shape, bool)
    np.put_along_axis(new, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return new
