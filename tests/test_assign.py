"""Nearest centroids: as exact arithmetic has them."""

import numpy as np
import pytest

from cluster.assign import assign
from cluster.rows import ArrayRows


def test_it_is_a_plain_loop():
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(300, 9)).astype(np.float32), rng.normal(size=(2, 13, 9))
    found = assign(ArrayRows(x), c.astype(np.float32))
    distance = np.linalg.norm(x[None, :, None].astype(np.float64) - c[:, None], axis=3)
    np.testing.assert_array_equal(found.assignment, distance.argmin(axis=2))
    np.testing.assert_allclose(found.distance, distance.min(axis=2), rtol=1e-5)


def test_of_equal_distances_the_lower_cluster_wins():
    c = np.array([[[1, 0], [-1, 0], [1, 0]]], np.float32)
    x = np.array([[0, 5], [1, 0], [0, 0]], np.float32)
    assert assign(ArrayRows(x), c).assignment[0].tolist() == [0, 0, 0]


def test_distances_near_zero_keep_their_digits():
    x = np.full((1, 100), 10, np.float32)
    c = x[None] + np.float32(2**-10)
    assert assign(ArrayRows(x), c).distance[0, 0] == pytest.approx(10 * 2**-10, rel=1e-5)


def test_unit_rows_for_the_cosine_metric():
    c = np.eye(2, dtype=np.float32)[None]
    found = assign(ArrayRows(np.array([[9, 1], [0, 0.1]], np.float32)), c, unit=True)
    assert found.assignment[0].tolist() == [0, 1]
    assert found.distance[0, 1] == 0


def test_many_clusters_need_little_memory(monkeypatch: pytest.MonkeyPatch):
    """Parts of a few rows give what one part of all rows gives."""
    rng = np.random.default_rng(0)
    x = ArrayRows(rng.normal(size=(500, 4)))
    c = rng.normal(size=(1, 200, 4)).astype(np.float32)
    whole = assign(x, c).assignment
    monkeypatch.setattr("cluster.nearest.CORE_ROWS", 64)
    monkeypatch.setattr("cluster.nearest.CORE_CELLS", 1)
    np.testing.assert_array_equal(assign(x, c).assignment, whole)
