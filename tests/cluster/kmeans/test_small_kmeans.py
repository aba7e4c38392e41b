"""k-means of few, short vectors: what the k-means of everything else finds, to the last bit."""

import numpy as np
import pytest
import torch
from blobs import blobs, some_of

import cluster.kmeans.small
from cluster import ClusterError
from cluster.kmeans.api import kmeans
from cluster.kmeans.small import is_small, small_kmeans, small_lloyd
from cluster.vectors.rows import ArrayRows, Subset

SETTINGS = {"seeds": [0, 1, 5], "n_init": 3, "max_iter": 60, "tol": 1e-4}


@pytest.mark.parametrize("max_iter", [1, 4, 60])
@pytest.mark.parametrize(("n", "dim", "k"), [(600, 12, 6), (900, 3, 40), (50, 1, 2), (40, 70, 39)])
def test_it_is_the_other_k_means(n: int, dim: int, k: int, max_iter: int):
    rows = ArrayRows(blobs(n, dim, 6, 2.0))
    settings = {**SETTINGS, "max_iter": max_iter}
    found, expected = small_kmeans(rows, k, **settings), kmeans(rows, k, **settings)
    np.testing.assert_allclose(found.centroids, expected.centroids, atol=1e-6)
    np.testing.assert_allclose(found.inertia, expected.inertia, rtol=1e-6)
    np.testing.assert_array_equal(found.iterations, expected.iterations)


@pytest.mark.parametrize("empty", [1, 30])
def test_empty_clusters_take_the_furthest_images_as_there(empty: int):
    x = blobs(spread=2.0)
    starts = np.concatenate([some_of(x, 9), np.full((empty, 12), 50, np.float32)])[None]
    centroids, inertia, iterations = small_lloyd(x, starts, 300, 0.0)
    expected = kmeans(
        ArrayRows(x), 9 + empty, seeds=[0], n_init=1, max_iter=300, tol=0, starts=starts
    )
    np.testing.assert_allclose(centroids, expected.centroids, atol=1e-6)
    assert inertia[0] == pytest.approx(expected.inertia[0], rel=1e-6)
    assert iterations[0] == expected.iterations[0]


def test_equally_near_images_go_to_the_lower_cluster():
    x = np.array([[-1.0], [0.0], [1.0]], np.float32)
    starts = np.array([[[-1.0], [1.0]], [[1.0], [-1.0]]], np.float32)
    centroids, inertia, _ = small_lloyd(x, starts, 1, 0.0)
    np.testing.assert_allclose(centroids[..., 0], [[-0.5, 1], [0.5, -1]])
    np.testing.assert_allclose(inertia, [0.5, 0.5])


def test_equal_images_leave_clusters_empty_and_it_ends():
    rows = ArrayRows(np.ones((20, 3), np.float32))
    found = small_kmeans(rows, 4, **SETTINGS)
    assert found.inertia.tolist() == [0, 0, 0]
    assert (found.centroids == 1).all()


def test_far_from_the_origin_it_finds_the_same_clusters():
    x = np.round(blobs(spread=2.0) * 8) / 8
    near, far = (small_lloyd(x + away, x[None, :9] + away, 300, 0.0) for away in (0, 4096))
    np.testing.assert_allclose(near[0], far[0] - 4096, atol=5e-4)
    np.testing.assert_allclose(near[1], far[1], rtol=1e-5)


def test_threads_and_what_the_rows_are_change_nothing():
    x, before = blobs(2000), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(small_kmeans(ArrayRows(x), 5, **SETTINGS))
    finally:
        torch.set_num_threads(before)
    found.append(small_kmeans(Subset(ArrayRows(x), np.arange(len(x))), 5, **SETTINGS))
    for other in found[1:]:
        for left, right in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_more_clusters_than_images_are_refused():
    with pytest.raises(ClusterError, match="k is 6, but there are 5 images"):
        small_kmeans(ArrayRows(blobs(5)), 6, **SETTINGS)


def test_what_is_small(monkeypatch: pytest.MonkeyPatch):
    rows = ArrayRows(blobs(100, 12))
    assert is_small(rows, 9)
    for name, least in (("VECTORS", 1200), ("CENTROIDS", 108)):
        monkeypatch.setattr(cluster.kmeans.small, name, least)
        assert is_small(rows, 9)
        monkeypatch.setattr(cluster.kmeans.small, name, least - 1)
        assert not is_small(rows, 9)
        monkeypatch.undo()
