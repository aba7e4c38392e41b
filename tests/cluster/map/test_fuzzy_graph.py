"""The graph that a map is laid out from: by hand, beside umap-learn's class, and broken."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs

from cluster import ClusterError
from cluster.kernels.similarity import survey
from cluster.map.distinct_neighbors import distinct_neighbors
from cluster.map.fuzzy_graph import distances, fuzzy_graph, memberships, parts
from cluster.map.umap_library import load_umap
from cluster.neighbors.equal_rows import distinct_rows
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows


def near(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """int32 and float32 [image, neighbor], of other images; Euclidean distances."""
    found = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(found, np.inf)
    at = np.argsort(found, axis=1, kind="stable")[:, :k].astype(np.int32)
    return at, np.take_along_axis(found, at, 1).astype(np.float32)


def test_a_graph_worked_out_by_hand():
    """Of 3 neighbours with distances 1, 1 + d, 1 + d the weights are 1, e, e with 1 + 2 e = log2 4,
    so e = 1/2. Images at the corners of a square see two neighbours at 1 (and weights 1); all weigh
    1 + 1 - 1 = 1."""
    weight = memberships(np.array([[1, 3, 3], [2, 2.5, 2.5]], np.float32))
    np.testing.assert_allclose(weight, [[1, 0.5, 0.5]] * 2, atol=1e-4)
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float)
    graph = fuzzy_graph(*near(square, 2)).toarray()
    np.testing.assert_allclose(graph, [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])


def test_a_weight_is_the_union_of_both_directions():
    at, far = near(make_blobs(60, n_features=4, random_state=0)[0], 5)
    own = np.zeros((60, 60))
    np.put_along_axis(own, at.astype(int), memberships(far), 1)
    graph = fuzzy_graph(at, far)
    np.testing.assert_allclose(graph.toarray(), own + own.T - own * own.T, rtol=1e-4, atol=1e-6)
    # of 6 with the image itself: log2 6, its own weight left out
    np.testing.assert_allclose(own.sum(1), np.log2(6), atol=1e-3)


@pytest.mark.parametrize("copies", [1, 4])
def test_it_is_the_graph_of_umap_learn(copies: int, monkeypatch: pytest.MonkeyPatch):
    """Whose functions are taken as they are written: to compile them takes long."""
    theirs = load_umap().graph
    for name in ("smooth_knn_dist", "compute_membership_strengths"):
        monkeypatch.setattr(theirs, name, getattr(theirs, name).py_func)
    x = np.repeat(make_blobs(40, n_features=4, random_state=1)[0], copies, axis=0)
    at, far = near(x, 7)
    own = np.arange(len(x), dtype=np.int32)[:, None]
    expected, _, _ = theirs.fuzzy_simplicial_set(
        own, 8, None, None, knn_indices=np.hstack([own, at]),
        knn_dists=np.hstack([np.zeros((len(x), 1), np.float32), far]), return_dists=None,
    )  # fmt: skip
    found = fuzzy_graph(at, far)
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=2e-5)


def test_the_size_of_the_blocks_and_other_images_change_nothing(monkeypatch: pytest.MonkeyPatch):
    _, far = near(make_blobs(60, n_features=4, random_state=0)[0], 5)
    whole = memberships(far)
    np.testing.assert_array_equal(memberships(far[20:21])[0], whole[20])
    monkeypatch.setattr("cluster.map.fuzzy_graph.BLOCK", 7)
    np.testing.assert_array_equal(memberships(far), whole)


def test_similarities_of_any_metric_order_the_images_alike():
    similarity = np.array([[0.9, 0.5, -0.25]], np.float32)
    np.testing.assert_allclose(distances(similarity, "cosine"), [[0.1, 0.5, 1.25]], rtol=1e-6)
    np.testing.assert_allclose(distances(similarity, "inner_product"), [[1, 1.4, 2.15]], rtol=1e-6)
    np.testing.assert_allclose(distances(-similarity, "euclidean"), [[0.9, 0.5, 0]], rtol=1e-6)
    weights = [memberships(distances(s, "inner_product")) for s in (similarity, similarity + 9)]
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-4)
    with pytest.raises(ClusterError, match="similarities are not finite"):
        distances(similarity * np.inf, "cosine")


@pytest.mark.parametrize("images", [1, 2, 3])
def test_few_images_are_no_trouble(images: int):
    x = np.arange(images, dtype=float)[:, None] ** 2
    graph = fuzzy_graph(*near(x, min(2, images - 1)))
    assert graph.shape == (images, images)
    assert np.isfinite(graph.data).all()
    assert parts(graph) == 1


def test_images_of_which_all_neighbours_are_equal_are_no_trouble():
    at, far = near(np.zeros((6, 3)), 4)
    graph = fuzzy_graph(at, far)
    assert (graph.data == 1).all()
    assert (memberships(far) == 1).all()


def test_parts_of_the_graph_are_counted():
    x = np.r_[np.arange(5), 100 + np.arange(5)][:, None].astype(float)
    assert parts(fuzzy_graph(*near(x, 2))) == 2
    assert parts(csr_array((3, 3))) == 3


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "euclidean"])
def test_neighbours_of_distinct_vectors_are_those_of_a_search_among_them(metric):
    x = np.random.default_rng(0).normal(size=(30, 5))[np.r_[:30, [3] * 12, 7, 7]]
    rows = ArrayRows(x)
    table = nearest_neighbors(rows, rows, 10, metric=metric, own=np.arange(44))
    distinct = distinct_rows(rows, survey(rows).code)
    found = distinct_neighbors(rows, table.neighbor, distinct, 6, metric=metric, device="cpu")
    alone = ArrayRows(rows.array[distinct.first])
    expected = nearest_neighbors(alone, alone, 6, metric=metric, own=np.arange(30))
    np.testing.assert_array_equal(found.neighbor, expected.neighbor)
    np.testing.assert_array_equal(found.similarity, expected.similarity)


def test_tensorflow_stays_out_and_is_not_hidden_from_others():
    import sys

    load_umap()
    assert "keras" not in sys.modules
    assert sys.modules.get("tensorflow", 1) is not None
