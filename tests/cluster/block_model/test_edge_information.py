"""Edge information: by hand, beside a dense computation, and what must not change it."""

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array

from cluster import ClusterError
from cluster.block_model.information import cluster_weights, edge_information, information
from cluster.block_model.scores import log_ratio
from tests.cluster.block_model.graphs import dense_information, random_graph

PATH = csr_array(np.diag([1.0, 1, 1], 1) + np.diag([1.0, 1, 1], -1))  # 0-1-2-3


def test_a_path_cut_in_the_middle_by_hand():
    """Two of six directed edges lie in each half, one leads each way."""
    halves = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(cluster_weights(PATH, halves, 2).weight, [[2, 1], [1, 2]])
    by_hand = 2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3)
    assert edge_information(PATH, halves, 2) == pytest.approx(by_hand, abs=1e-15)


def test_two_steps_on_that_path_by_hand():
    """From 0 one comes to 0 or 2; from 1 to 1 three times in four, else to 3: of the weight 6,
    W D^-1 W has [[1/2, 0, 1/2, 0], [0, 3/2, 0, 1/2], ...]."""
    weight = cluster_weights(PATH, np.array([0, 0, 1, 1]), 2, lag=2).weight
    np.testing.assert_allclose(weight, [[2, 1], [1, 2]])
    ends = cluster_weights(PATH, np.array([0, 1, 1, 0]), 2, lag=2).weight
    np.testing.assert_allclose(ends, [[1, 1], [1, 3]])


@pytest.mark.parametrize("lag", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_is_the_dense_computation(lag: int, k: int):
    graph = random_graph()
    own = np.random.default_rng(k).integers(0, k, 60)
    found = edge_information(graph, own, k, lag=lag)
    assert found == pytest.approx(dense_information(graph, own, k, lag), abs=1e-13)


@pytest.mark.parametrize("lag", [1, 4])
def test_the_order_of_images_and_the_names_of_clusters_change_nothing(lag: int):
    graph, rng = random_graph(), np.random.default_rng(1)
    own, order, name = rng.integers(0, 5, 60), rng.permutation(60), rng.permutation(5)
    whole = edge_information(graph, own, 5, lag=lag)
    moved = edge_information(graph[order][:, order], own[order], 5, lag=lag)
    assert moved == pytest.approx(whole, abs=1e-13)
    assert edge_information(graph, name[own], 5, lag=lag) == pytest.approx(whole, abs=1e-13)


@pytest.mark.parametrize("lag", [2, 4])
def test_the_size_of_blocks_changes_no_digit(lag: int, monkeypatch: pytest.MonkeyPatch):
    graph, own = random_graph(), np.random.default_rng(0).integers(0, 7, 60)
    whole = edge_information(graph, own, 7, lag=lag)
    monkeypatch.setattr("cluster.block_model.information.CELLS", 120)
    assert edge_information(graph, own, 7, lag=lag) == whole


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_the_scale_of_the_weights_and_images_without_an_edge_change_nothing(lag: int):
    graph, own = random_graph(), np.random.default_rng(0).integers(0, 4, 60)
    whole = edge_information(graph, own, 4, lag=lag)
    alone = csr_array(block_diag([graph * 7, csr_array((5, 5))]))
    more = np.concatenate([own, [0, 1, 2, 3, 3]])
    assert edge_information(alone, more, 4, lag=lag) == pytest.approx(whole, abs=1e-13)


@pytest.mark.parametrize("lag", [1, 3])
def test_parts_without_a_link_say_all_and_one_cluster_says_nothing(lag: int):
    graph = csr_array(block_diag([np.ones((3, 3)) - np.eye(3)] * 4))
    parts = np.repeat(np.arange(4), 3)
    assert edge_information(graph, parts, 4, lag=lag) == pytest.approx(np.log(4))
    assert edge_information(graph, parts * 0, 1, lag=lag) == pytest.approx(0, abs=1e-15)
    assert edge_information(csr_array((3, 3)), np.arange(3), 3, lag=lag) == 0


@pytest.mark.parametrize(
    ("own", "k", "lag", "said"),
    [
        ([0, 0, 1, 1], 2, 0, "the lag is 0: a random walk takes at least 1 step"),
        ([0, 0, 1], 2, 1, "clusters of 3 images, the graph has 4"),
        ([0, 0, 1, 2], 2, 1, "the clusters are 0 to 2, expected 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(own: list[int], k: int, lag: int, said: str):
    with pytest.raises(ClusterError, match=said):
        edge_information(PATH, np.array(own), k, lag=lag)


def test_weights_between_many_clusters_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch):
    weight = np.random.default_rng(0).random((12, 12)) * (np.arange(12) != 4)
    weight = weight + weight.T
    weight[4] = weight[:, 4] = 0
    whole, ratio = information(weight), log_ratio(weight)
    monkeypatch.setattr("cluster.block_model.information.SHARES", 30)
    monkeypatch.setattr("cluster.block_model.scores.SHARES", 30)
    assert information(weight) == pytest.approx(whole, abs=1e-14)
    np.testing.assert_array_equal(log_ratio(weight), ratio)
