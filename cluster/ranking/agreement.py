"""How far clusterings agree with those that were made in other ways.

The mean of the normalised mutual information to the others (Strehl and Ghosh, JMLR 2002, who look
for the consensus of highest mean). But: the seeds of one setting are not each other's others, as
they agree by the way they were made; their agreement is the stability.
"""

import numpy as np

from cluster.metrics.agreement import normalized_mutual_information
from cluster.metrics.clustering import stability
from cluster.metrics.matching import contingency_table


def agreement(assignments: np.ndarray, k: np.ndarray, setting: np.ndarray) -> np.ndarray:
    """The mean NMI of each clustering with those of other settings: float64 [candidate].

    assignments: int [candidate, image]; k: int [candidate], their numbers of clusters; setting: int
    [candidate], equal for the seeds of one. nan where all are of one setting, or without images.
    """
    count = len(assignments)
    nmi = np.full((count, count), np.nan)
    for one in range(count):
        for other in range(one):
            if setting[one] != setting[other] and assignments.shape[1]:
                counts = contingency_table(
                    assignments[one], assignments[other], int(k[one]), int(k[other])
                )
                nmi[one, other] = nmi[other, one] = normalized_mutual_information(counts)
    others = np.isfinite(nmi)
    sums = np.where(others, nmi, 0).sum(axis=1)
    return np.divide(sums, others.sum(axis=1), out=np.full(count, np.nan), where=others.any(axis=1))


def stabilities(assignments: np.ndarray, setting: np.ndarray) -> np.ndarray:
    """The mean ARI of each clustering with the other seeds of its setting: float64 [candidate]; nan
    where there is one seed."""
    out = np.full(len(assignments), np.nan)
    for one in np.unique(setting):
        seeds = np.flatnonzero(setting == one)
        out[seeds] = stability(assignments[seeds])
    return out
