"""How many clusterings agree with a consensus of them, image by image.

The clusters of a clustering have numbers of their own. Each is taken for the cluster of the
consensus that has most of its images, so that one with more clusters than the consensus can agree
as well (the majority rule of cluster.metrics.matching); an image agrees where that is the
consensus' cluster of it.
"""

from collections.abc import Sequence

import numpy as np

from cluster.metrics.matching import contingency_table, majority


def agreement(
    consensus: np.ndarray, clusterings: Sequence[np.ndarray], k: int, fitted: np.ndarray
) -> np.ndarray:
    """The share of `clusterings` (int [image] each) that agree on each image: float32 [image].

    consensus: int [image], in 0..k-1; fitted: int64 [fitted image], the images by which clusters
    are matched. A cluster without one of these agrees with no one.
    """
    agree = np.zeros(len(consensus), np.int32)
    for own in clusterings:
        count = int(own.max(initial=-1)) + 1
        to = majority(contingency_table(own[fitted], consensus[fitted], count, k))
        agree += to[own] == consensus
    return (agree / len(clusterings)).astype(np.float32)
