"""Lloyd's algorithm: equal to scikit-learn's, the same in every circumstance, never stuck."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from cluster import ClusterError
from cluster.kmeans import kmeans
from cluster.rows import ArrayRows, Subset

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    ),
]
PLAIN = {"seeds": [0, 1], "n_init": 3, "max_iter": 100, "tol": 1e-4}


def blobs(n: int = 600, dim: int = 12, k: int = 6, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, dim)) * 3
    return (centres[rng.integers(0, k, n)] + rng.normal(size=(n, dim)) * spread).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_it_is_scikit_learns_from_the_same_start(k: int, device: str):
    x = blobs(spread=2.0)
    start = x[np.random.default_rng(k).choice(len(x), k, replace=False)]
    ours = kmeans(
        ArrayRows(x), k, seeds=[0], n_init=1, max_iter=300, tol=0, starts=start[None], device=device
    )
    theirs = KMeans(k, init=start, n_init=1, max_iter=300, tol=0).fit(x.astype(np.float64))
    np.testing.assert_allclose(ours.centroids[0], theirs.cluster_centers_, atol=1e-4)
    assert ours.inertia[0] == pytest.approx(theirs.inertia_, rel=1e-6)


def test_a_worked_example():
    """Four numbers and starts 0 and 1: {0} {1 9 10} → means 0, 6.67 → {0 1} {9 10} → .5, 9.5."""
    x = np.array([[0], [1], [9], [10]], np.float32)
    starts = np.array([[[0], [1]]], np.float32)
    fit = kmeans(ArrayRows(x), 2, seeds=[0], n_init=1, max_iter=9, tol=0, starts=starts)
    assert fit.centroids[0].ravel().tolist() == [0.5, 9.5]
    assert fit.inertia.tolist() == [1.0]


def test_a_seed_gives_the_same_beside_any_other_seeds():
    rows = ArrayRows(blobs())
    alone = kmeans(rows, 5, **{**PLAIN, "seeds": [7]})
    beside = kmeans(rows, 5, **{**PLAIN, "seeds": [3, 7, 1]})
    np.testing.assert_array_equal(alone.centroids[0], beside.centroids[1])


def test_threads_change_nothing():
    rows, before, found = ArrayRows(blobs(9000)), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(kmeans(rows, 8, **PLAIN))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0].centroids, found[1].centroids)


def test_rows_read_from_anywhere_give_the_same():
    x = blobs()
    scattered = np.zeros((2 * len(x), x.shape[1]), np.float32)
    scattered[1::2] = x
    direct = kmeans(ArrayRows(x), 5, **PLAIN)
    through = kmeans(Subset(ArrayRows(scattered), np.arange(1, 2 * len(x), 2)), 5, **PLAIN)
    np.testing.assert_array_equal(direct.centroids, through.centroids)


def test_the_tile_size_changes_only_rounding(monkeypatch: pytest.MonkeyPatch):
    rows = ArrayRows(blobs(1000))
    whole = kmeans(rows, 6, **PLAIN)
    monkeypatch.setattr("cluster.tiles.TILE", 7)
    tiled = kmeans(rows, 6, **PLAIN)
    np.testing.assert_allclose(whole.centroids, tiled.centroids, atol=1e-5)
    np.testing.assert_allclose(whole.inertia, tiled.inertia, rtol=1e-6)


def test_far_from_the_origin_it_finds_the_same_clusters():
    x = np.round(blobs() * 8) / 8  # exact, and exact after the shift: float32 has 24 bits
    near = kmeans(ArrayRows(x), 6, **PLAIN)
    far = kmeans(ArrayRows(x + 4096), 6, **PLAIN)
    np.testing.assert_allclose(near.inertia, far.inertia, rtol=1e-3)


def test_an_empty_cluster_takes_the_furthest_image_as_in_scikit_learn():
    x = blobs(200)
    start = np.concatenate([x[:3], np.full((1, x.shape[1]), 1e3, np.float32)])
    fit = kmeans(ArrayRows(x), 4, seeds=[0], n_init=1, max_iter=300, tol=0, starts=start[None])
    theirs = KMeans(4, init=start, n_init=1, max_iter=300, tol=0).fit(x.astype(np.float64))
    assert fit.inertia[0] == pytest.approx(theirs.inertia_, rel=1e-6)


def test_more_clusters_than_different_images_come_to_an_end():
    x = np.repeat(np.eye(3, 5, dtype=np.float32), 10, axis=0)
    fit = kmeans(ArrayRows(x), 8, **PLAIN)
    assert fit.inertia.max() < 1e-9
    assert fit.iterations.max() < 10


def test_every_image_can_be_a_cluster():
    fit = kmeans(ArrayRows(blobs(30)), 30, **PLAIN)
    np.testing.assert_allclose(fit.inertia, 0, atol=1e-8)


@pytest.mark.parametrize("k", [0, -1, 31])
def test_a_k_that_cannot_be_is_refused(k: int):
    with pytest.raises(ClusterError, match=f"k is {k}, but there are 30 images to fit on"):
        kmeans(ArrayRows(blobs(30)), k, **PLAIN)


def test_constant_features_are_one_cluster():
    fit = kmeans(ArrayRows(np.ones((20, 4), np.float32)), 3, **PLAIN)
    np.testing.assert_allclose(fit.inertia, 0)
    assert np.isfinite(fit.centroids).all()


@pytest.mark.parametrize("device", DEVICES)
def test_cosine_clusters_directions(device: str):
    """Lengths do not matter; centroids have length 1; a vector of zeros does no harm."""
    x = blobs()
    lengths = np.random.default_rng(1).uniform(0.1, 9, (len(x), 1)).astype(np.float32)
    fit = kmeans(ArrayRows(x), 5, cosine=True, device=device, **PLAIN)
    scaled = kmeans(ArrayRows(x * lengths), 5, cosine=True, device=device, **PLAIN)
    np.testing.assert_allclose(fit.inertia, scaled.inertia, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(fit.centroids, axis=2), 1, rtol=1e-5)
    with_zero = np.concatenate([x, np.zeros((1, x.shape[1]), np.float32)])
    assert np.isfinite(kmeans(ArrayRows(with_zero), 5, cosine=True, **PLAIN).centroids).all()


def test_more_starts_are_never_worse():
    rows = ArrayRows(blobs(spread=2.5))
    one = kmeans(rows, 9, **{**PLAIN, "n_init": 1})
    ten = kmeans(rows, 9, **{**PLAIN, "n_init": 10})
    assert (ten.inertia <= one.inertia).all()


def test_max_iter_and_tol_end_it():
    rows = ArrayRows(blobs(spread=3.0))
    assert kmeans(rows, 9, **{**PLAIN, "max_iter": 2}).iterations.max() == 2
    strict = kmeans(rows, 9, **{**PLAIN, "tol": 0})
    loose = kmeans(rows, 9, **{**PLAIN, "tol": 0.5})
    assert loose.iterations.max() < strict.iterations.max()


def test_each_pass_is_told():
    told: list[int] = []
    kmeans(ArrayRows(blobs()), 4, progress=told.append, **PLAIN)
    assert told[0] == 600 * 6  # at first every image of every run moves
    assert told[-1] < told[0]
