"""Agreement of two partitions of the same images: pair counts and mutual information.

The adjusted Rand index (Hubert and Arabie 1985), the index of Fowlkes and Mallows (1983), and
mutual information over the mean of the entropies, with the values of scikit-learn. But: from
counts, not from every image, and without its import, which takes longer than the scores of a few
thousand images.
"""

from typing import NamedTuple

import numpy as np

from cluster.metrics.ami import entropy, mutual_information


class Pairs(NamedTuple):
    """The number of pairs of images, and of those that are together in one partition, in the other
    and in both. Python integers: of a billion images their products exceed 64 bits."""

    every: int
    one: int
    other: int
    both: int


def count_pairs(shared: np.ndarray, one: np.ndarray, other: np.ndarray) -> Pairs:
    """The pairs from the sizes of overlaps and of the clusters of either partition: int64 [any]."""
    images = int(one.sum())
    together = (int(np.sum(n * (n - 1)) // 2) for n in (one, other, shared))
    return Pairs(images * (images - 1) // 2, *together)


def adjusted_rand(pairs: Pairs) -> float:
    """1: the same partition; 0: as expected by chance."""
    every, one, other, both = pairs
    if one == other == both:
        return 1.0
    by_chance = one * other
    return 2 * (both * every - by_chance) / ((one + other) * every - 2 * by_chance)


def fowlkes_mallows(pairs: Pairs) -> float:
    """The geometric mean of pairwise precision and recall; 0 where no pair is together in both."""
    if not pairs.both:
        return 0.0
    return float(np.sqrt(pairs.both / pairs.one) * np.sqrt(pairs.both / pairs.other))


def normalized_mutual_information(counts: np.ndarray) -> float:
    """NMI over the arithmetic mean of the entropies; counts: int [cluster, class], not all 0."""
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
