"""Greedy merges: by brute force, by hand, and of clusters without a link."""

from itertools import combinations

import numpy as np
import pytest

from cluster import ClusterError
from cluster.block_model.information import cluster_weights, information
from cluster.block_model.merges import merge
from tests.cluster.block_model.graphs import random_graph


def joined(weight: np.ndarray, into: np.ndarray) -> np.ndarray:
    hot = np.eye(into.max() + 1)[into]
    return hot.T @ weight @ hot


def by_brute_force(weight: np.ndarray, k: int) -> np.ndarray:
    into = np.arange(len(weight))
    while into.max() + 1 > k:
        best, least = into, -np.inf
        for one, other in combinations(range(into.max() + 1), 2):
            tried = np.where(into == other, one, into)
            tried = np.unique(tried, return_inverse=True)[1]
            kept = information(joined(weight, tried))
            if kept > least + 1e-12:
                best, least = tried, kept
        into = best
    return into


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_each_merge_is_the_one_of_least_loss(k: int, seed: int):
    own = np.random.default_rng(seed).integers(0, 12, 80)
    weight = cluster_weights(random_graph(80, seed), own, 12).weight
    np.testing.assert_array_equal(merge(weight, k), by_brute_force(weight, k))


def test_two_pairs_of_cliques_by_hand():
    """0 with 2 and 1 with 3 share a heavy edge each; a light one joins 0 and 1."""
    weight = np.array([[9, 1, 4, 0], [1, 9, 0, 4], [4, 0, 9, 0], [0, 4, 0, 9.0]])
    assert merge(weight, 2).tolist() == [0, 1, 0, 1]


def test_clusters_without_a_link_or_without_weight_are_merged_too():
    """What has no weight costs nothing; of equal clusters the first two."""
    assert merge(np.diag([1.0, 0, 1, 1]), 3).tolist() == [0, 0, 1, 2]
    assert merge(np.diag([1.0, 1, 1]), 2).tolist() == [0, 0, 1]
    assert merge(np.zeros((3, 3)), 1).tolist() == [0, 0, 0]
    assert merge(np.eye(3), 3).tolist() == [0, 1, 2]


def test_it_does_not_change_what_it_is_given():
    weight = np.diag([1.0, 2, 3])
    merge(weight, 1)
    np.testing.assert_array_equal(weight, np.diag([1.0, 2, 3]))


def test_more_clusters_than_there_are_are_refused():
    with pytest.raises(ClusterError, match="3 clusters cannot be merged into 4"):
        merge(np.eye(3), 4)
