"""How much two divisions of the same images agree: by pairs of images, and by shared information.

The adjusted Rand index (Hubert and Arabie 1985), Fowlkes and Mallows (1983), and mutual information
over the mean of the entropies, with the answers of scikit-learn. But: from counts, not from every
image, and without its import, which takes longer than the scores of a few thousand images.
"""

from typing import NamedTuple

import numpy as np

from cluster.metrics.ami import entropy, mutual_information


class Pairs(NamedTuple):
    """How many pairs of images there are, and how many are together in one division, in the other
    and in both. Whole numbers of any size: of a billion images their products pass 64 bits."""

    every: int
    one: int
    other: int
    both: int


def count_pairs(shared: np.ndarray, one: np.ndarray, other: np.ndarray) -> Pairs:
    """From how many images each two parts share, and the sizes of the parts: int64 [any] each."""
    images = int(one.sum())
    together = (int(np.sum(n * (n - 1)) // 2) for n in (one, other, shared))
    return Pairs(images * (images - 1) // 2, *together)


def adjusted_rand(pairs: Pairs) -> float:
    """1: the same division; 0: as alike as by chance."""
    every, one, other, both = pairs
    if one == other == both:
        return 1.0
    by_chance = one * other
    return 2 * (both * every - by_chance) / ((one + other) * every - 2 * by_chance)


def fowlkes_mallows(pairs: Pairs) -> float:
    """The geometric mean of the shares of pairs that are together in both; 0 where none is."""
    if not pairs.both:
        return 0.0
    return float(np.sqrt(pairs.both / pairs.one) * np.sqrt(pairs.both / pairs.other))


def normalized_mutual_information(counts: np.ndarray) -> float:
    """Over the arithmetic mean of the entropies; counts: int [cluster, class], not all 0."""
    clusters, classes = counts.sum(axis=1), counts.sum(axis=0)
    clusters, classes = clusters[clusters > 0], classes[classes > 0]
    if len(clusters) == len(classes) == 1:
        return 1.0
    found = mutual_information(counts)
    return found / ((entropy(clusters) + entropy(classes)) / 2) if found else 0.0


def adjusted_rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """The adjusted Rand index of two assignments of the same images, int [image], none below 0."""
    cell = one.astype(np.int64) * (int(other.max()) + 1) + other
    sizes = (np.unique(each, return_counts=True)[1] for each in (cell, one, other))
    return adjusted_rand(count_pairs(*sizes))
