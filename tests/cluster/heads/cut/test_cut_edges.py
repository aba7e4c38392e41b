"""Edges of a table of neighbours: weights and degrees by hand, draws that follow the graph."""

import numpy as np
import pytest

from cluster import ClusterError
from cluster.heads.cut.edges import Edges, gaussian_weights, squared_distances
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows

NEAR = np.array([[1, 2], [0, 2], [3, 1], [2, 1]], np.int32)
WEIGHT = np.array([[1, 0.5], [1, 0.25], [1, 0.5], [0.5, 0]], np.float32)


def symmetric() -> np.ndarray:
    """W as a matrix."""
    out = np.zeros((4, 4))
    for i, (near, weight) in enumerate(zip(NEAR, WEIGHT, strict=True)):
        out[i, near] += weight
    return (out + out.T) / 2


def test_weights_are_those_of_a_kernel_as_wide_as_the_mean_distance():
    found = gaussian_weights(np.array([[1.0, 9.0], [4.0, 4.0]]))  # mean distances 2 and 2
    np.testing.assert_allclose(found, np.exp([[-1 / 8, -9 / 8], [-0.5, -0.5]]), rtol=1e-6)


def test_copies_have_the_weight_1_and_rounding_below_0_is_0():
    found = gaussian_weights(np.array([[0.0, 0.0], [-1e-7, 0.0], [0.0, 4.0]]))
    np.testing.assert_allclose(found, [[1, 1], [1, 1], [1, np.exp(-2)]], rtol=1e-6)


def test_blocks_change_no_weight(monkeypatch: pytest.MonkeyPatch):
    square = np.random.default_rng(0).random((20, 3))
    whole = gaussian_weights(square)
    monkeypatch.setattr("cluster.heads.cut.edges.BLOCK", 7)
    np.testing.assert_array_equal(gaussian_weights(square), whole)


def test_degrees_are_the_row_sums_of_the_symmetric_graph():
    np.testing.assert_allclose(Edges(NEAR, WEIGHT, 0).degrees(), symmetric().sum(axis=1))


def test_drawn_edges_are_those_of_the_symmetric_graph():
    drawn = Edges(NEAR, WEIGHT, 0).at(0, 80_000)
    ends = drawn.image[drawn.left], drawn.image[drawn.right]
    found = np.zeros((4, 4))
    np.add.at(found, ends, drawn.weight)
    expected = symmetric() * 80_000 / NEAR.size
    np.testing.assert_allclose(found, expected, atol=0.03 * expected.max())


def test_a_draw_depends_on_the_seed_and_the_step_only():
    edges = Edges(NEAR, WEIGHT, 3)
    later = edges.at(7, 20)
    again = Edges(NEAR, WEIGHT, 3).at(7, 20)
    for one, other in zip(later, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(later.weight, edges.at(8, 20).weight)
    assert not np.array_equal(later.weight, Edges(NEAR, WEIGHT, 4).at(7, 20).weight)


def test_images_are_read_once_a_batch():
    drawn = Edges(NEAR, WEIGHT, 0).at(0, 500)
    assert drawn.image.tolist() == [0, 1, 2, 3]


def test_all_edges_or_some_from_all_over_the_table():
    every = Edges(NEAR, WEIGHT, 0).spread(100)
    np.testing.assert_array_equal(every.image[every.left], np.repeat(np.arange(4), 2))
    np.testing.assert_array_equal(every.image[every.right], NEAR.ravel())
    few = Edges(NEAR, WEIGHT, 0).spread(2)
    np.testing.assert_array_equal(few.image[few.left], [0, 3])


def test_a_table_with_an_image_beside_itself_or_without_neighbours_is_refused():
    with pytest.raises(ClusterError, match="1 images are their own neighbour, the first is 1"):
        Edges(np.array([[1], [1]], np.int32), np.ones((2, 1), np.float32), 0)
    with pytest.raises(ClusterError, match="does not fit 1 images"):
        Edges(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32), 0)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_squared_distances_are_those_of_the_vectors(metric, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.heads.cut.edges.BLOCK", 7)
    rows = ArrayRows(np.random.default_rng(0).normal(size=(30, 5)))
    table = nearest_neighbors(rows, rows, 4, metric=metric, own=np.arange(30))
    x = rows.array.astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.square(x[:, None] - x[table.neighbor]).sum(2)
    found = squared_distances(rows, *table, metric)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
