"""Ascent of the edge information: scores by their definition, never below the start, odd graphs."""

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array
from sklearn.metrics import adjusted_rand_score

from cluster import ClusterError
from cluster.block_model.ascent import ascend
from cluster.block_model.information import cluster_weights, edge_information
from cluster.block_model.scores import best_clusters, log_ratio
from tests.cluster.block_model.graphs import random_graph

CLIQUE = np.ones((5, 5)) - np.eye(5)


def dense_scores(graph: csr_array, own: np.ndarray, k: int, lag: int) -> np.ndarray:
    w = graph.toarray()
    degree = w.sum(axis=1)
    scale = np.divide(1, degree, where=degree > 0, out=np.zeros(len(w)))
    steps = np.linalg.matrix_power(w * scale, lag - 1) @ w
    hot = np.eye(k)[own]
    ratio = log_ratio(cluster_weights(graph, own, k, lag=lag).weight)
    return 2 * scale[:, None] * (steps @ hot @ ratio.T)


@pytest.mark.parametrize("lag", [1, 2, 4])
@pytest.mark.parametrize("with_prior", [True, False])
def test_the_best_cluster_is_that_of_the_dense_scores(lag: int, with_prior: bool):
    graph, rng = random_graph(), np.random.default_rng(0)
    own = rng.integers(0, 6, 60).astype(np.int32)
    prior = rng.normal(size=(60, 6)) if with_prior else np.zeros((60, 6))
    dense = dense_scores(graph, own, 6, lag) + prior
    found = best_clusters(
        graph, own, cluster_weights(graph, own, 6, lag=lag), lag=lag,
        prior=(lambda rows, columns: prior[rows, columns]) if with_prior else None,
    )  # fmt: skip
    linked = graph.sum(axis=1) > 0
    np.testing.assert_array_equal(found[linked], dense.argmax(1)[linked])


@pytest.mark.parametrize("lag", [1, 4])
def test_blocks_and_threads_change_nothing(lag: int, monkeypatch: pytest.MonkeyPatch):
    graph, own = random_graph(), np.random.default_rng(0).integers(0, 6, 60)
    whole = ascend(graph, own, 6, lag=lag, seed=3, sweeps=20)
    monkeypatch.setattr("cluster.block_model.scores.CELLS", 50)
    monkeypatch.setattr("cluster.block_model.scores.ROWS", 7)
    monkeypatch.setattr("cluster.block_model.scores.COLUMN_CELLS", 125)
    monkeypatch.setattr("cluster.block_model.information.CELLS", 125)
    monkeypatch.setattr("cluster.block_model.information.ROWS", 11)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    parts = ascend(graph, own, 6, lag=lag, seed=3, sweeps=20)
    np.testing.assert_array_equal(whole.assignment, parts.assignment)
    assert whole.information == parts.information


@pytest.mark.parametrize("lag", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_it_never_falls_below_its_start_and_says_what_it_reached(lag: int, seed: int):
    graph = random_graph(90, seed)
    start = np.random.default_rng(seed).integers(0, 4, 90)
    found = ascend(graph, start, 4, lag=lag, seed=seed, sweeps=30)
    assert found.information >= edge_information(graph, start, 4, lag=lag)
    reached = edge_information(graph, found.assignment, 4, lag=lag)
    assert found.information == reached
    again = ascend(graph, found.assignment, 4, lag=lag, seed=seed, sweeps=30)
    assert again.information >= reached


def test_other_names_of_the_clusters_give_the_same_clusters():
    graph, rng = random_graph(90), np.random.default_rng(0)
    start, name = rng.integers(0, 4, 90), rng.permutation(4)
    one = ascend(graph, start, 4, lag=1, seed=0, sweeps=30)
    other = ascend(graph, name[start], 4, lag=1, seed=0, sweeps=30)
    np.testing.assert_array_equal(name[one.assignment], other.assignment)


def test_images_in_the_wrong_clique_go_home():
    graph = csr_array(block_diag([CLIQUE] * 3))
    right = np.repeat(np.arange(3), 5)
    start = np.where(np.arange(15) % 5 == 0, (right + 1) % 3, right)
    found = ascend(graph, start, 3, lag=1, seed=0, sweeps=30)
    assert adjusted_rand_score(right, found.assignment) == 1
    assert found.information == pytest.approx(np.log(3))


@pytest.mark.parametrize("lag", [1, 2])
def test_images_without_an_edge_stay_and_empty_clusters_stay_empty(lag: int):
    graph = csr_array(block_diag([CLIQUE, CLIQUE, csr_array((3, 3))]))
    start = np.array([0] * 4 + [1] + [1] * 5 + [0, 3, 1])
    found = ascend(graph, start, 5, lag=lag, seed=0, sweeps=30).assignment
    assert found[10:].tolist() == [0, 3, 1]
    assert found[:10].tolist() == [0] * 5 + [1] * 5


def test_one_cluster_and_no_edges_are_left_alone():
    assert not ascend(
        random_graph(), np.zeros(60, int), 1, lag=1, seed=0, sweeps=3
    ).assignment.any()
    found = ascend(csr_array((4, 4)), np.array([0, 1, 0, 1]), 2, lag=1, seed=0, sweeps=3)
    assert found.assignment.tolist() == [0, 1, 0, 1]
    assert found.information == 0


def test_no_sweep_is_refused():
    with pytest.raises(ClusterError, match="0 sweeps were requested: at least 1 is needed"):
        ascend(random_graph(), np.zeros(60, int), 1, lag=1, seed=0, sweeps=0)
