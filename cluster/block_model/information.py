"""Edge information: how much the cluster at one end of a random edge says about the other end's.

The profile likelihood of the degree-corrected stochastic block model (Karrer and Newman, Physical
Review E 83, 2011: sum m_rs log(m_rs / (kappa_r kappa_s))), for edge weights of the sum 1. With M
the weight between the clusters and r its row sums,

    I = sum_ab M_ab log(M_ab / (r_a r_b)),

the mutual information, in nats, of the clusters at both ends of an edge that is drawn by its
weight: from 0 to log k. At lag t the edge becomes t steps of a random walk on the graph, with the
weights (W D^-1)^(t-1) W, D the row sums of W (Delvenne, Yaliraki and Barahona, PNAS 107, 2010).
But: edges have weights, where a block model counts them; and at a lag the walk's information is
taken, where Markov stability takes its autocovariance.

Example: a path of four images, 0-1-2-3, cut in the middle. Of six directed edges two lie within
each half and one leads each way: M = [[2, 1], [1, 2]] / 6, r = [1, 1] / 2, and I = 2/3 log 4/3 +
1/3 log 2/3 = 0.0566 nats.
"""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CELLS = 16_000_000  # numbers of a block of columns, [image, cluster] (128 MB)
SHARES = 2_000_000  # weights between clusters that are worked on at once (16 MB)
ROWS = 2048  # images that a core takes at once


def edge_information(graph: "csr_array", assignment: np.ndarray, k: int, *, lag: int = 1) -> float:
    """I of the clusters int [image], in 0..k-1, on a graph, in nats.

    graph: float csr [image, image], symmetric, weights >= 0. Images without an edge take no part; a
    graph without an edge has none. Time and memory: O(edges + k²) at lag 1, else O(edges k lag) and
    two blocks of columns. Raises ClusterError when the lag is below 1, or clusters are out of
    range.
    """
    return information(cluster_weights(graph, assignment, k, lag=lag).weight)


def information(weight: np.ndarray) -> float:
    """I of the weights between clusters, float64 [cluster, cluster], of any sum."""
    total = max(weight.sum(), 1e-300)
    step = max(1, SHARES // max(1, len(weight)))
    blocks = [weight[low : low + step] for low in range(0, len(weight), step)]
    of_cluster = np.concatenate([(block / total).sum(axis=1) for block in blocks])
    found = 0.0
    for number, block in enumerate(blocks):
        own, other = np.nonzero(block)
        joint = block[own, other] / total
        apart = joint / of_cluster[number * step + own] / of_cluster[other]
        found += float((joint * np.log(apart)).sum())
    return found


class Reached(NamedTuple):
    """Of a random walk between the clusters. weight: float64 [cluster, cluster], between both ends,
    its sum that of the graph; arrived: float64 [image, cluster], how much comes to each image from
    each cluster, where it was computed and is small enough to be kept."""

    weight: np.ndarray
    arrived: np.ndarray | None


def cluster_weights(graph: "csr_array", assignment: np.ndarray, k: int, *, lag: int = 1) -> Reached:
    """What `lag` steps lead to. Sums run in the order of the images: blocks change no digit."""
    _require(graph, assignment, k, lag)
    own = np.asarray(assignment, np.int32)
    out = np.zeros((k, k))
    if lag == 1:
        _add_edges(graph.indptr, graph.indices, graph.data, own, out)
        return Reached(out, None)
    step = max(1, CELLS // max(1, len(own)))
    for low in range(0, k, step):
        arrived = np.zeros((len(own), min(step, k - low)))  # after one step, then after all
        _first_step(graph.indptr, graph.indices, graph.data, own, low, arrived)
        arrived = walk(graph, arrived, lag - 1, begun=True)
        sums = np.zeros((k, arrived.shape[1]))
        add_rows(arrived, own, sums)
        out[:, low : low + step] = sums
    out = out + out.T  # symmetric, but for rounding
    out /= 2
    return Reached(out, arrived if step >= k else None)


def walk(graph: "csr_array", at: np.ndarray, steps: int, *, begun: bool = False) -> np.ndarray:
    """(W D^-1)^(steps-1) W applied to float64 [image, column], which is never formed; where a walk
    has `begun`, (W D^-1)^steps. Overwrites `at`: a step leads from one of two arrays to the other,
    which are all that it holds."""
    degree, images, to = graph.sum(axis=1), graph.shape[0], np.empty_like(at)
    per_weight = 1 / np.where(degree > 0, degree, 1)
    for number in range(steps):
        scale = per_weight if begun or number else np.ones(images)
        arrays = (graph.indptr, graph.indices, graph.data, scale, at, to)
        on_cores(partial(_step_of_block, arrays), range(0, images, ROWS))
        at, to = to, at
    return at


def _step_of_block(arrays: tuple[np.ndarray, ...], low: int) -> None:
    _step(low, min(low + ROWS, len(arrays[3])), *arrays)


@in_order
def _first_step(
    begin: np.ndarray, other: np.ndarray, weight: np.ndarray, own: np.ndarray, low: int,
    out: np.ndarray,
) -> None:  # fmt: skip
    """W applied to one-hot clusters from `low` on: a cluster, not a row, comes along each edge."""
    for image in range(len(own)):
        row = out[image]
        for edge in range(begin[image], begin[image + 1]):
            column = own[other[edge]] - low
            if 0 <= column < len(row):
                row[column] += weight[edge]


@in_order
def _step(
    low: int, high: int, begin: np.ndarray, other: np.ndarray, weight: np.ndarray,
    scale: np.ndarray, at: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    for image in range(low, high):
        row = out[image]
        row[:] = 0
        for edge in range(begin[image], begin[image + 1]):
            source = other[edge]
            share, there = weight[edge] * scale[source], at[source]
            for column in range(len(row)):
                row[column] += share * there[column]


@in_order
def _add_edges(
    begin: np.ndarray, other: np.ndarray, weight: np.ndarray, own: np.ndarray, out: np.ndarray
) -> None:
    for image in range(len(own)):
        row = out[own[image]]
        for edge in range(begin[image], begin[image + 1]):
            row[own[other[edge]]] += weight[edge]


@in_order
def add_rows(x: np.ndarray, own: np.ndarray, out: np.ndarray) -> None:
    """Add each row of float64 [image, column] to the row `own` (int [image]) of `out`."""
    for image in range(len(own)):
        row, sums = x[image], out[own[image]]
        for column in range(len(row)):
            sums[column] += row[column]


def _require(graph: "csr_array", assignment: np.ndarray, k: int, lag: int) -> None:
    if lag < 1:
        raise ClusterError(f"the lag is {lag}: a random walk takes at least 1 step")
    if len(assignment) != graph.shape[0]:
        raise ClusterError(
            f"there are clusters of {len(assignment)} images, the graph has {graph.shape[0]}"
        )
    if len(assignment) and not 0 <= assignment.min() <= assignment.max() < k:
        raise ClusterError(
            f"the clusters are {assignment.min()} to {assignment.max()}, expected 0 to {k - 1}"
        )
