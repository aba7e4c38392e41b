"""Lloyd's algorithm: equal to scikit-learn's, the same in every circumstance, never stuck."""

from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import DEVICES, PLAIN, blobs, some_of
from sklearn.cluster import KMeans

from cluster import ClusterError
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.vectors.rows import ArrayRows, Subset


def from_start(x: np.ndarray, start: np.ndarray, tol: float = 0, **more) -> Fit:
    """One run, from `start`, to its very end."""
    common = {"seeds": [0], "n_init": 1, "max_iter": 300, "starts": start.astype(np.float32)[None]}
    return kmeans(ArrayRows(x), len(start), tol=tol, **common, **more)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("k", "tol"), [(1, 0), (2, 0), (7, 1e-3), (40, 0), (40, 1e-2)])
def test_it_is_scikit_learns_from_the_same_start(k: int, tol: float, device: str):
    """Pass by pass: the same images in the same clusters after the same number of passes."""
    x = blobs(spread=2.0)
    start = some_of(x, k)
    theirs = KMeans(k, init=start, n_init=1, max_iter=300, tol=tol).fit(x.astype(np.float64))
    ours = from_start(x, start, tol=tol, device=device)
    assert ours.iterations[0] == theirs.n_iter_
    assert ours.inertia[0] == pytest.approx(theirs.inertia_, rel=1e-6)
    np.testing.assert_allclose(ours.centroids[0], theirs.cluster_centers_, atol=1e-5)
    found = assign(ArrayRows(x), ours.centroids, device=device).assignment[0]
    np.testing.assert_array_equal(found, theirs.labels_)


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
    monkeypatch.setattr("cluster.vectors.tiles.TILE", 7)
    tiled = kmeans(rows, 6, **PLAIN)
    np.testing.assert_allclose(whole.centroids, tiled.centroids, atol=1e-5)
    np.testing.assert_allclose(whole.inertia, tiled.inertia, rtol=1e-6)


def test_the_number_of_runs_that_go_together_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    rows = ArrayRows(blobs())
    together = kmeans(rows, 6, **PLAIN)
    monkeypatch.setattr("cluster.kmeans.api.CELLS", 1)
    monkeypatch.setattr("cluster.kmeans.init.CELLS", 1)
    one_by_one = kmeans(rows, 6, **PLAIN)
    for left, right in zip(together, one_by_one, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_order_of_images_changes_only_rounding():
    x = blobs(spread=2.0)
    order = np.random.default_rng(0).permutation(len(x))
    straight, mixed = from_start(x, x[:9]), from_start(x[order], x[:9])
    assert straight.iterations == mixed.iterations
    np.testing.assert_allclose(straight.centroids, mixed.centroids, atol=1e-5)
    np.testing.assert_allclose(straight.inertia, mixed.inertia, rtol=1e-6)


def test_images_that_are_there_twice_weigh_twice():
    x = blobs(spread=2.0)
    once, twice = from_start(x, x[:9]), from_start(np.repeat(x, 2, axis=0), x[:9])
    np.testing.assert_allclose(once.centroids, twice.centroids, atol=1e-5)
    np.testing.assert_allclose(2 * once.inertia, twice.inertia, rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("away", [64, 4096])
def test_far_from_the_origin_it_finds_the_same_clusters(away: float, device: str):
    x = np.round(blobs(spread=2.0) * 8) / 8  # exact, there too: float32 has 24 bits
    near = from_start(x, x[:9], device=device)
    far = from_start(x + away, x[:9] + away, device=device)
    assert near.iterations == far.iterations
    np.testing.assert_allclose(near.centroids, far.centroids - away, atol=1e-7 * away + 1e-5)
    np.testing.assert_allclose(near.inertia, far.inertia, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("empty", [1, 30])
def test_empty_clusters_take_the_furthest_images_as_in_scikit_learn(empty: int, device: str):
    x = blobs(spread=2.0)
    nowhere = 1e3 + np.random.default_rng(0).normal(size=(empty, x.shape[1]))
    start = np.concatenate([x[:3], nowhere]).astype(np.float32)
    theirs = KMeans(len(start), init=start, n_init=1, tol=0).fit(x.astype(np.float64))
    fit = from_start(x, start, device=device)
    assert fit.inertia[0] == pytest.approx(theirs.inertia_, rel=1e-6)
    assert fit.iterations[0] == theirs.n_iter_


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 0.1, 1 / 3])
def test_more_clusters_than_different_images_come_to_an_end(scale: float, device: str):
    """Of means that are off by a rounding as well."""
    x = np.repeat(np.eye(3, 5, dtype=np.float32), 10, axis=0) * np.float32(scale)
    fit = kmeans(ArrayRows(x), 8, device=device, **{**PLAIN, "tol": 0})
    assert fit.inertia.max() < 1e-9
    assert fit.iterations.max() < 10


def test_every_image_can_be_a_cluster():
    fit = kmeans(ArrayRows(blobs(30)), 30, **PLAIN)
    np.testing.assert_allclose(fit.inertia, 0, atol=1e-8)


@pytest.mark.parametrize("k", [0, -1, 31])
def test_a_k_that_cannot_be_is_refused(k: int):
    with pytest.raises(ClusterError, match=f"k is {k}, but there are 30 images to fit on"):
        kmeans(ArrayRows(blobs(30)), k, **PLAIN)


def test_starts_are_left_as_they_were():
    x = blobs()
    starts = x[None, :5].copy()
    kmeans(ArrayRows(x), 5, seeds=[0], n_init=1, max_iter=5, tol=0, starts=starts)
    np.testing.assert_array_equal(starts[0], x[:5])


@pytest.mark.parametrize("shape", [(2, 4, 12), (2, 5, 11), (3, 5, 12), (0, 5, 12)])
def test_starts_that_do_not_fit_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ClusterError, match=r"starts have the shape .* of 5 clusters, 12 dims"):
        kmeans(ArrayRows(blobs()), 5, starts=np.zeros(shape, np.float32), **PLAIN)


def test_starts_of_a_seed_lie_side_by_side():
    """Runs of seed 0, then of seed 1; of each the better is kept."""
    x = blobs()
    starts = np.stack([x[:5], x[5:10], x[10:15], x[15:20]])
    fit = kmeans(ArrayRows(x), 5, starts=starts, **{**PLAIN, "n_init": 9, "tol": 0})
    single = [from_start(x, start).inertia[0] for start in starts]
    assert fit.inertia.tolist() == [min(single[:2]), min(single[2:])]


def test_read_only_rows_are_read_without_a_warning(tmp_path: Path):
    x = blobs()
    np.save(tmp_path / "x.npy", x)
    mapped = ArrayRows(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_array_equal(
        kmeans(mapped, 5, **PLAIN).centroids, kmeans(ArrayRows(x), 5, **PLAIN).centroids
    )


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


def test_cosine_is_a_plain_loop_over_unit_vectors():
    """Each to the centroid of the smallest angle, each centroid to its images' mean direction."""
    x = blobs(spread=2.0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    centroids, found = unit[:6], np.full(len(x), -1)
    while not np.array_equal(found, found := (unit @ centroids.T).argmax(axis=1)):
        means = np.stack([unit[found == cluster].mean(axis=0) for cluster in range(6)])
        centroids = means / np.linalg.norm(means, axis=1, keepdims=True)
    fit = from_start(x, x[:6], cosine=True)
    np.testing.assert_allclose(fit.centroids[0], centroids, atol=1e-5)
    assert fit.inertia[0] == pytest.approx(np.square(unit - centroids[found]).sum(), rel=1e-5)


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_gpu_finds_what_the_cpu_finds():
    rows = ArrayRows(blobs(9000, spread=2.0))
    cpu, gpu = (kmeans(rows, 20, device=device, **PLAIN) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(cpu.iterations, gpu.iterations)
    np.testing.assert_allclose(cpu.centroids, gpu.centroids, atol=1e-4)
