"""Nearest centroids: as exact arithmetic has them."""

import numpy as np
import pytest
from blobs import DEVICES

from cluster.kmeans.assign import assign
from cluster.vectors.rows import ArrayRows


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("away", [0, 1000])
def test_it_is_a_plain_loop(away: float, device: str):
    rng = np.random.default_rng(0)
    x, c = ((rng.normal(size=s) + away).astype(np.float32) for s in ((300, 9), (2, 13, 9)))
    found = assign(ArrayRows(x), c, device=device)
    distance = np.linalg.norm(x[None, :, None].astype(np.float64) - c[:, None], axis=3)
    np.testing.assert_array_equal(found.assignment, distance.argmin(axis=2))
    np.testing.assert_allclose(found.distance, distance.min(axis=2), rtol=1e-5)
    assert found.assignment.dtype == np.int32
    assert found.distance.dtype == np.float32


def test_an_image_gets_the_same_alone_and_among_others():
    rng = np.random.default_rng(0)
    x, c = (rng.normal(size=s).astype(np.float32) for s in ((9000, 5), (2, 30, 5)))
    every = assign(ArrayRows(x), c)
    for some in ([0], [8999], list(range(4000, 4200))):
        few = assign(ArrayRows(x[some]), c)
        np.testing.assert_array_equal(few.assignment, every.assignment[:, some])
        np.testing.assert_array_equal(few.distance, every.distance[:, some])


def test_no_images_are_assigned_to_nothing():
    assert assign(ArrayRows(np.zeros((0, 3))), np.ones((2, 4, 3))).assignment.shape == (2, 0)


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
    monkeypatch.setattr("cluster.kmeans.nearest.CORE_ROWS", 64)
    monkeypatch.setattr("cluster.kmeans.nearest.CORE_CELLS", 1)
    np.testing.assert_array_equal(assign(x, c).assignment, whole)


def test_a_tile_in_which_every_image_is_pinned():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    label = np.arange(40) % 2
    found = assign(ArrayRows(x), x[None, :2], label=label)
    np.testing.assert_array_equal(found.assignment[0], label)
