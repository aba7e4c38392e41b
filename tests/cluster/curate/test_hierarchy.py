"""Levels of k-means with resampling: a worked example, scikit-learn, and what changes nothing."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from cluster.curate.hierarchy import Level, clustering, feasible_levels, fit_level, images_of_levels
from cluster.errors import ClusterError
from cluster.vectors.rows import ArrayRows, Rows

PLAIN = {"resampling": 0, "nearest": 1}
SEARCH = {"seed": 0, "n_init": 2, "max_iter": 50, "tol": 1e-4, "init_images": 10_000}


def blobs(sizes: list[int], dim: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(sizes), dim)) * 10
    every = [c + rng.normal(size=(n, dim)) * 0.3 for c, n in zip(centres, sizes, strict=True)]
    return np.concatenate(every).astype(np.float32)


def fit(x: np.ndarray | Rows, k: int, **changes: object) -> Level:
    rows = ArrayRows(x) if isinstance(x, np.ndarray) else x
    search = {name: changes.pop(name, usual) for name, usual in SEARCH.items()}
    return fit_level(len(rows), k, clustering(rows, **search), **{**PLAIN, **changes})


def test_without_resampling_a_level_is_k_means():
    x = blobs([40, 30, 20])
    level = fit(x, 3)
    other = KMeans(3, n_init=2, random_state=0).fit(x)
    assert adjusted_rand_score(other.labels_, level.assignment) == 1
    own = level.centroids[level.assignment]
    np.testing.assert_allclose(level.distance, np.linalg.norm(x - own, axis=1), rtol=1e-5)


def test_resampling_spreads_the_centroids_from_the_dense_to_the_sparse():
    """On a line 900 points lie in [0, 1] and 100 in [1, 10]: k-means gives the dense part more of
    the centroids than resampling leaves there."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, 900), rng.uniform(1, 10, 100)])[:, None]
    x = x.astype(np.float32)
    dense = [int((fit(x, 40, resampling=times, nearest=3).centroids < 1).sum()) for times in (0, 5)]
    assert dense[0] > 1.5 * dense[1]


def test_one_nearest_point_makes_centroids_of_points():
    """Of r = 1 nothing is left to cluster: each centroid moves to the point nearest to it."""
    x = blobs([9, 9, 9])
    before, level = fit(x, 3), fit(x, 3, resampling=1, nearest=1)
    for old, new in zip(
        sorted(before.centroids.tolist()), sorted(level.centroids.tolist()), strict=True
    ):
        near = x[np.linalg.norm(x - np.array(old), axis=1).argmin()]
        np.testing.assert_allclose(new, near, rtol=1e-6)


def test_levels_stand_on_one_another():
    """Six groups that are three pairs: the second level joins the pairs."""
    centre = np.array([[0, 0], [3, 0], [50, 0], [53, 0], [0, 70], [0, 73]], np.float32)
    x = np.repeat(centre, 20, axis=0) + np.random.default_rng(0).normal(size=(120, 2)) * 0.1
    low = fit(x.astype(np.float32), 6, resampling=2, nearest=10)
    high = fit(low.centroids, 3)
    finest, top = images_of_levels([low.assignment, high.assignment])
    assert adjusted_rand_score(np.repeat(np.arange(6), 20), finest) == 1
    assert adjusted_rand_score(np.repeat(np.arange(3), 40), top) == 1


class ByTwo(ArrayRows):
    """Rows that are a float16 store's: never an array."""

    def block(self, start: int, stop: int) -> np.ndarray:
        return super().block(start, stop).copy()


def test_threads_and_where_rows_lie_change_nothing():
    x = blobs([400, 300, 50, 9], dim=16)
    before, threads = fit(x, 12, resampling=3, nearest=8), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        after = fit(ByTwo(x), 12, resampling=3, nearest=8)
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(before, after, strict=True):
        assert one.tobytes() == other.tobytes()


def test_another_seed_is_another_start():
    x = blobs([400, 300, 50, 9], dim=16)
    one, other = (fit(x, 12, n_init=1, seed=seed) for seed in (0, 1))
    assert one.centroids.tobytes() != other.centroids.tobytes()


def test_equal_images_are_one_cluster_and_no_cluster_is_empty():
    level = fit(np.ones((9, 3), np.float32), 4, resampling=2)
    assert level.centroids.tolist() == [[1, 1, 1]]
    assert not level.assignment.any()


def test_a_level_that_was_stopped_goes_on_to_the_same_bytes():
    x, kept = blobs([200, 99, 30], dim=8), list[tuple[Level, int]]()
    whole = fit(x, 9, resampling=3, nearest=4, keep=lambda *at: kept.append(at))
    assert [done for _, done in kept] == [1, 2, 3, 4]
    for begun in kept:
        again = fit(x, 9, resampling=3, nearest=4, begun=begun)
        for one, other in zip(whole, again, strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(("k", "nearest"), [(0, 1), (10, 1), (2, 0)])
def test_what_cannot_be_is_refused(k: int, nearest: int):
    with pytest.raises(ClusterError):
        fit(np.eye(9, dtype=np.float32), k, nearest=nearest)


def test_levels_that_cannot_be_are_fewer_clusters():
    assert feasible_levels([100, 10], 1000) == [100, 10]
    assert feasible_levels([100, 10], 40) == [40, 10]
    assert feasible_levels([100, 50, 10], 40) == [40, 10]
    assert feasible_levels([100, 10], 1) == [1]
