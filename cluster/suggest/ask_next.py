"""Which pictures to ask a person about next: those whose answers say most about the others.

Uncertain (1 - margin of the two most probable labels), in a dense place of the undecided images
(their uncertainty summed over the edges of the graph: what an answer can change), and no two alike:
one after another the image of the highest product is taken, and its neighbours are discounted by
the weight of their edge (after density-weighted uncertainty sampling, Settles 2009, section 5.3).
"""

from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ALIKE = 0.9  # share of the value that the most similar neighbour of an asked image loses


def ask_next(
    graph: "csr_array", margin: np.ndarray, open_to_ask: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """At most `count` images, the best first: int64 [asked].

    graph: float csr [image, image], symmetric, weights >= 0; margin: float [image], from 0 to 1;
    open_to_ask: bool [image], such as the undecided ones. Of equal ones the first in an order drawn
    by `seed`. Raises ClusterError when the images differ.
    """
    images = graph.shape[0]
    if not len(margin) == len(open_to_ask) == images:
        raise ClusterError(
            f"the graph has {images} images, there are {len(margin)} margins and "
            f"{len(open_to_ask)} marks: expected one of each an image"
        )
    uncertain = np.where(open_to_ask, 1 - np.clip(margin, 0, 1).astype(np.float64), 0.0)
    value = uncertain * (uncertain + graph @ uncertain)
    value[~open_to_ask] = -1
    order = np.random.default_rng(seed).permutation(images)
    chosen: list[int] = []
    for _ in range(min(count, int(open_to_ask.sum()))):
        best = int(order[value[order].argmax()])
        chosen.append(best)
        value[best] = -1
        begin, end = graph.indptr[best], graph.indptr[best + 1]
        near, weight = graph.indices[begin:end], graph.data[begin:end]
        if len(near) and weight.max() > 0:
            left = value[near]
            value[near] = np.where(left > 0, left * (1 - ALIKE * weight / weight.max()), left)
    return np.array(chosen, np.int64)
