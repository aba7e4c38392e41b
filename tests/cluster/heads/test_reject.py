"""Images that belong to no class: by hand, blocks, planted junk, empty clusters."""

import numpy as np
import pytest
from conftest import one_thread

import cluster.vectors.tiles
from cluster.heads.reject import fit_reject, own_distance
from cluster.vectors.rows import ArrayRows

_quick = pytest.fixture(autouse=True)(one_thread)


def test_by_hand():
    """Two clusters on a line, with means 1 and 11; the labelled images lie 1, 1 and 3 away."""
    x = np.array([[0.0], [2.0], [8.0], [11.0], [14.0]], np.float32)
    own = np.array([[0, 0, 1, 1, 1]], np.int32)
    found = fit_reject(ArrayRows(x), own, np.array([0, 1, 2]), 0.4, 2)
    np.testing.assert_allclose(found.centroids, [[[1.0], [11.0]]])
    assert found.reject_beyond == [3.0]
    away = own_distance(ArrayRows(x), own, found.centroids)
    np.testing.assert_allclose(away, [[1, 1, 3, 0, 3]])
    assert fit_reject(ArrayRows(x), own, np.array([0, 1, 2]), 0.6, 2).reject_beyond == [1.0]


def test_a_cluster_without_images_has_the_mean_of_all():
    x = np.array([[0.0], [2.0], [4.0]], np.float32)
    found = fit_reject(ArrayRows(x), np.zeros((1, 3), np.int32), np.array([0]), 0.5, 2)
    np.testing.assert_allclose(found.centroids[0], [[2.0], [2.0]])


def groups() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.arange(1200) % 6
    return (rng.normal(size=(6, 16)) * 3)[truth] + rng.normal(size=(1200, 16)), truth


def test_block_size_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    x, truth = groups()
    rows, own = ArrayRows(x.astype(np.float32)), np.stack([truth, (truth + 1) % 6]).astype(np.int32)
    whole = fit_reject(rows, own, np.arange(0, 1200, 3), 0.05, 6)
    monkeypatch.setattr(cluster.vectors.tiles, "TILE", 97)
    parts = fit_reject(rows, own, np.arange(0, 1200, 3), 0.05, 6)
    for one, other in zip(whole, parts, strict=True):
        assert one.tobytes() == other.tobytes()


def test_planted_junk_is_found_and_few_others():
    """Images far from any group, in all directions: nearly all are found, and of the others about
    the share that was asked for."""
    x, truth = groups()
    junk = np.random.default_rng(1).normal(size=(60, 16)) * 5
    rows = ArrayRows(np.concatenate([x, junk]).astype(np.float32))
    centres = np.stack([x[truth == c].mean(0) for c in range(6)])
    nearest = np.square(junk[:, None] - centres).sum(2).argmin(1)
    own = np.concatenate([truth, nearest]).astype(np.int32)[None]
    labelled = np.flatnonzero(truth < 3)[::2]
    found = fit_reject(rows, own, labelled, 0.02, 6)
    rejected = own_distance(rows, own, found.centroids)[0] > found.reject_beyond[0]
    assert rejected[1200:].mean() > 0.95  # recall
    assert rejected[1200:].sum() / rejected.sum() > 0.6  # precision
    assert rejected[:1200].mean() < 0.04
