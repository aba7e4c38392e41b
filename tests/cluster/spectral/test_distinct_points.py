"""Equal vectors as one point: the graph of all images, in fewer rows, whatever their order."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from cluster.kernels.similarity import survey
from cluster.neighbors.equal_rows import distinct_rows
from cluster.neighbors.exact import nearest_neighbors
from cluster.spectral.distinct_points import neighbors_of_distinct, weighted_graph
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors, spectral
from cluster.vectors.rows import ArrayRows

PLAIN = {"seeds": [0, 1], "n_init": 5, "max_iter": 100, "tol": 1e-4}


def table(x: np.ndarray, k: int) -> np.ndarray:
    own = np.arange(len(x))
    return nearest_neighbors(ArrayRows(x), ArrayRows(x), k, metric="euclidean", own=own).neighbor


def clusters(x: np.ndarray, k: int, neighbors: int = 8) -> np.ndarray:
    """int32 [seed, image], by the graph of the distinct vectors."""
    rows = ArrayRows(x)
    points = distinct_rows(rows, survey(rows).code)
    copies = np.bincount(points.vector)
    near = neighbors_of_distinct(rows, table(x, 12), points, neighbors, metric="euclidean")
    leading = leading_eigenvectors(
        weighted_graph(shared_neighbor_graph(near), copies), k + 3, copies
    )
    return spectral(leading, k, copies=copies, **PLAIN).assignment[:, points.vector]


def blobs(n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_blobs(n, n_features=5, centers=3, cluster_std=3.0, random_state=1)
    return x.astype(np.float32), y


def test_the_small_graph_has_the_eigenvectors_of_the_graph_of_all_images():
    rng = np.random.default_rng(0)
    copies = rng.integers(1, 6, 40)
    graph = shared_neighbor_graph(table(blobs(40)[0], 6))
    every = graph.toarray()
    np.fill_diagonal(every, 1)
    every = np.repeat(np.repeat(every, copies, 0), copies, 1)
    np.fill_diagonal(every, 0)
    small = leading_eigenvectors(weighted_graph(graph, copies), 5, copies)
    large = leading_eigenvectors(csr_array(every), 5)
    np.testing.assert_allclose(small.eigenvalues, large.eigenvalues, atol=1e-9)
    spread = np.repeat(small.vectors / np.sqrt(copies)[:, None], copies, 0)
    np.testing.assert_allclose(np.abs(spread.T @ large.vectors), np.eye(5), atol=1e-7)
    one = spectral(small, 4, copies=copies, **PLAIN)
    other = spectral(large, 4, **PLAIN)
    assert adjusted_rand_score(np.repeat(one.assignment[0], copies), other.assignment[0]) == 1
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-5)


def test_neighbours_are_the_nearest_distinct_vectors_however_many_copies_there_are():
    x = blobs()[0]
    alone = table(x, 8)
    copies = np.random.default_rng(2).integers(1, 40, len(x))
    rows = ArrayRows(np.repeat(x, copies, 0))
    points = distinct_rows(rows, survey(rows).code)
    near = neighbors_of_distinct(rows, table(rows.array, 12), points, 8, metric="euclidean")
    vector = points.vector[np.cumsum(copies) - 1]  # of each row of x
    np.testing.assert_array_equal(near[vector], vector[alone])


def test_each_image_twice_gives_the_clusters_of_each_image_once():
    x, _ = blobs()
    found = clusters(np.concatenate([x, x]), 3)
    np.testing.assert_array_equal(found[:, : len(x)], found[:, len(x) :])
    assert adjusted_rand_score(found[0, : len(x)], clusters(x, 3)[0]) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_cluster(seed: int):
    x, _ = blobs(60)
    x = np.repeat(x, np.random.default_rng(0).integers(1, 30, len(x)), 0)
    order = np.random.default_rng(seed).permutation(len(x))
    np.testing.assert_array_equal(clusters(x, 3)[:, order], clusters(x[order], 3))


def test_a_heavy_component_is_larger_than_one_of_more_vectors():
    """Two parts without a link, of 5 vectors once each and of 3 with 4 copies: k is 1, then 2."""
    group = np.repeat([0, 1], [5, 3])
    joined = (group[:, None] == group).astype(float)
    np.fill_diagonal(joined, 0)
    copies = np.where(group == 1, 4, 1)
    leading = leading_eigenvectors(weighted_graph(csr_array(joined), copies), 3, copies)
    assert leading.component.tolist() == [1] * 5 + [0] * 3
    assert spectral(leading, 2, copies=copies, **PLAIN).assignment[0].tolist() == [1] * 5 + [0] * 3


def test_one_vector_in_many_copies_is_one_cluster():
    assert clusters(np.ones((30, 4), np.float32), 1).tolist() == [[0] * 30] * 2


def test_two_vectors_in_any_order_are_two_clusters():
    x = np.repeat(np.eye(2, dtype=np.float32), [25, 15], axis=0)
    order = np.random.default_rng(0).permutation(40)
    for assignment in clusters(x[order], 2):
        assert adjusted_rand_score(order < 25, assignment) == 1
