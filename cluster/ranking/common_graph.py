"""One graph on which clusterings of different spaces are judged: the mean of their graphs.

Each space gives the graph of shared nearest neighbours (cluster.spectral.snn_graph), scaled to sum
1, so that none of them weighs more than another. No score in a space of its own is needed then,
which would favour the space in which distances happen to be clear. But: an image whose list is cut
short where spaces are many (`listed`) has fewer neighbours in each, as many in all.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError
from cluster.spectral.snn_graph import shared_neighbor_graph

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ENTRIES = 60_000_000  # of all lists of neighbours: the mean graph then takes some 3 GB to make
FEWEST = 5  # neighbours of a list, however many there are


def listed(wanted: int, images: int, spaces: int) -> int:
    """How many neighbours of each list are taken, so that the graph fits in memory."""
    return min(wanted, max(FEWEST, ENTRIES // max(1, images * spaces)))


def mean_graph(lists: Iterable[tuple[np.ndarray, np.ndarray]]) -> "csr_array":
    """The mean of the graphs as float64 csr [image, image], symmetric, without a diagonal, of sum 1
    (0 where no image has an edge).

    lists: of each space its lists, int [own image, neighbor], as positions among its images, and
    which of these are judged, int [image], the same images in each. Raises ClusterError when there
    is no space, or they judge different numbers of images.
    """
    out, spaces = None, 0
    for neighbor, judged in lists:
        graph = shared_neighbor_graph(neighbor)
        if len(judged) < len(neighbor):
            graph = graph[judged][:, judged]
        graph *= 1 / max(graph.sum(), 1e-300)
        if out is not None and out.shape != graph.shape:
            raise ClusterError(f"graphs of {out.shape[0]} and {len(judged)} images have no mean")
        out = graph if out is None else out + graph
        spaces += 1
    if out is None:
        raise ClusterError("there are no neighbours to make a graph of")
    out *= 1 / spaces
    return out
