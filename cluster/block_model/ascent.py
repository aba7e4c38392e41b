"""Ascent of the edge information: images move to the cluster of their highest score, in sweeps.

After the moves of Karrer and Newman (2011), who move one vertex at a time. But: all images are
scored by the same clusters, and a random half of those that would move do, in every third sweep
all: what neighbours do at once would otherwise swing to and fro. I may fall in a sweep, so the best
clustering seen is what is returned, which is never below the start.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.information import cluster_weights, information
from cluster.block_model.scores import best_clusters
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PATIENCE = 5  # sweeps without a gain
ALL = 3  # every so many sweeps all move
GAIN = 1e-10  # nats; less is rounding


class Ascent(NamedTuple):
    """assignment: int32 [image]; information: its I, in nats; sweeps: how many were made."""

    assignment: np.ndarray
    information: float
    sweeps: int


def ascend(
    graph: "csr_array", start: np.ndarray, k: int, *, lag: int, seed: int, sweeps: int
) -> Ascent:
    """The best of at most `sweeps` sweeps from the clusters `start`, int [image] in 0..k-1.

    graph: as of cluster.block_model.information. It stops where no image would move, or after
    PATIENCE sweeps without a gain. Clusters may become empty, and stay so. Raises ClusterError as
    edge_information does.
    """
    if sweeps < 1:
        raise ClusterError(f"{sweeps} sweeps were requested: at least 1 is needed")
    own = np.asarray(start, np.int32)
    reached = cluster_weights(graph, own, k, lag=lag)
    best, most, waited = own, information(reached.weight), 0
    rng, sweep = np.random.default_rng(seed), 0
    for sweep in range(1, sweeps + 1):
        to = best_clusters(graph, own, reached, lag=lag)
        moves = to != own
        if not moves.any():
            break
        if sweep % ALL:
            moves &= rng.random(len(own)) < 0.5
        own = np.where(moves, to, own)
        reached = cluster_weights(graph, own, k, lag=lag)
        found = information(reached.weight)
        waited += 1
        if found > most + GAIN:
            best, most, waited = own, found, 0
        if waited == PATIENCE:
            break
    return Ascent(best, most, sweep)
