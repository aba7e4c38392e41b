"""The graph that all candidates are judged on: by hand, and what must not change it."""

import numpy as np
import pytest

from cluster import ClusterError
from cluster.ranking import common_graph
from cluster.ranking.common_graph import listed, mean_graph
from cluster.spectral.snn_graph import shared_neighbor_graph

RING = np.array([[1], [2], [3], [0]])  # lists {0 1}, {1 2}, {2 3}, {3 0}
PAIRS = np.array([[1], [0], [3], [2]])
EVERY = np.arange(4)


def test_two_spaces_by_hand():
    """The ring has four edges of 1/2, both ways: 1/8 each; the pairs two of 1: 1/4 each."""
    found = mean_graph([(RING, EVERY), (PAIRS, EVERY)]).toarray()
    ring, pair = 1 / 16, 1 / 8
    expected = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]) * ring
    expected[[0, 1, 2, 3], [1, 0, 3, 2]] += pair
    np.testing.assert_allclose(found, expected)
    assert found.sum() == pytest.approx(1)


def test_only_images_that_are_judged_are_in_it():
    rng = np.random.default_rng(0)
    lists = np.array([rng.choice(np.delete(np.arange(30), i), 5, replace=False) for i in range(30)])
    judged = np.sort(rng.choice(30, 20, replace=False))
    found = mean_graph([(lists, judged)]).toarray()
    whole = shared_neighbor_graph(lists).toarray()[np.ix_(judged, judged)]
    np.testing.assert_allclose(found, whole / whole.sum())
    assert (found == found.T).all()


def test_spaces_weigh_alike_in_any_order():
    rng = np.random.default_rng(0)
    sizes = (3, 9)
    lists = [
        np.array([rng.choice(np.delete(np.arange(40), i), n, replace=False) for i in range(40)])
        for n in sizes
    ]
    both = [(own, np.arange(40)) for own in lists]
    np.testing.assert_allclose(mean_graph(both).toarray(), mean_graph(both[::-1]).toarray())


def test_a_graph_without_an_edge_is_empty_and_no_graph_or_two_sizes_are_refused():
    assert mean_graph([(np.zeros((3, 0), np.int32), np.arange(3))]).nnz == 0
    with pytest.raises(ClusterError, match="no neighbours to make a graph of"):
        mean_graph([])
    with pytest.raises(ClusterError, match="graphs of 4 and 3 images have no mean"):
        mean_graph([(RING, EVERY), (RING, EVERY[:3])])


def test_lists_get_shorter_where_all_of_them_would_not_fit(monkeypatch: pytest.MonkeyPatch):
    assert listed(20, 1_000_000, 3) == 20
    assert listed(20, 1_000_000, 6) == 10
    assert listed(20, 1_000_000, 60) == 5
    monkeypatch.setattr(common_graph, "ENTRIES", 0)
    assert listed(3, 10, 1) == 3
