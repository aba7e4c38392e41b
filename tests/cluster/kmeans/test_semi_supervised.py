"""Semi-supervised k-means: a plain loop's answer, labelled images stay, k-means without labels."""

from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES, blobs, some_of

from cluster import ClusterError
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.centering import fit_centering
from cluster.kmeans.data import Data
from cluster.kmeans.init import kmeans_plus_plus, local_trials
from cluster.kmeans.semi_supervised import known_means, sskmeans
from cluster.vectors.rows import ArrayRows, Subset

PLAIN: dict[str, Any] = {"seeds": [0, 1], "n_init": 3, "max_iter": 100, "tol": 1e-4}
OLD, K = 3, 7


def labels_of(x: np.ndarray, share: float = 0.3) -> np.ndarray:
    """Known classes that are not the clusters that are there: some labelled images lie far off."""
    generator = np.random.default_rng(5)
    nearest = np.linalg.norm(x[:, None] - some_of(x, OLD), axis=2).argmin(1)
    noisy = np.where(generator.random(len(x)) < 0.1, generator.integers(OLD, size=len(x)), nearest)
    return np.where(generator.random(len(x)) < share, noisy, -1)


def starts_of(x: np.ndarray, label: np.ndarray, k: int = K) -> np.ndarray:
    means = [x[label == c].mean(axis=0) for c in range(label.max() + 1)]
    return np.concatenate([np.reshape(means, (-1, x.shape[1])), some_of(x, k)[len(means) :]])


def from_start(x: np.ndarray, label: np.ndarray, start: np.ndarray, tol: float = 0, **more) -> Fit:
    common = {"seeds": [0], "n_init": 1, "max_iter": 300, "starts": start.astype(np.float32)[None]}
    return sskmeans(ArrayRows(x), label, len(start), tol=tol, **{**common, **more})


def plain_loop(
    x: np.ndarray, label: np.ndarray, start: np.ndarray, passes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Image by image in float64: centroids, clusters and inertia."""
    x, centroids = x.astype(np.float64), start.astype(np.float64).copy()

    def clusters() -> np.ndarray:
        return np.array(
            [
                own if own >= 0 else int(np.square(one - centroids).sum(1).argmin())
                for one, own in zip(x, label, strict=True)
            ]
        )

    for _ in range(passes):
        found = clusters()
        centroids = np.stack([x[found == c].mean(axis=0) for c in range(len(centroids))])
    found = clusters()
    return centroids, found, float(np.square(x - centroids[found]).sum())


def test_a_worked_example():
    """0 and 18 are of class 0, whose mean is 9; the other cluster starts at 22. 20 and 22 are
    nearer to that, and 18 stays though it is too: means 9 and 21, inertia 81 + 81 + 1 + 1."""
    x = np.array([[0], [20], [18], [22]], np.float32)
    label = np.array([0, -1, 0, -1])
    fit = sskmeans(ArrayRows(x), label, 2, **{**PLAIN, "tol": 0})
    assert fit.centroids.tolist() == [[[9], [21]], [[9], [21]]]
    assert fit.inertia.tolist() == [164, 164]
    found = assign(ArrayRows(x), fit.centroids, label=label)
    assert found.assignment.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]
    assert found.distance[0].tolist() == [9, 1, 9, 1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("passes", [1, 2, 5, 30])
def test_it_is_a_plain_loop(passes: int, device: str):
    x = blobs(300, spread=2.0)
    label = labels_of(x)
    start = starts_of(x, label)
    centroids, found, inertia = plain_loop(x, label, start, passes)
    fit = from_start(x, label, start, max_iter=passes, device=device)
    np.testing.assert_allclose(fit.centroids[0], centroids, atol=1e-5)
    assert fit.inertia[0] == pytest.approx(inertia, rel=1e-6)
    ours = assign(ArrayRows(x), fit.centroids, label=label, device=device).assignment[0]
    np.testing.assert_array_equal(ours, found)


def test_without_a_labelled_image_it_is_kmeans():
    rows = ArrayRows(blobs(spread=2.0))
    ours = sskmeans(rows, np.full(len(rows), -1), 6, **PLAIN)
    for left, right in zip(ours, kmeans(rows, 6, **PLAIN), strict=True):
        np.testing.assert_array_equal(left, right)


def test_labelled_images_never_move():
    x = blobs(spread=2.0)
    label = labels_of(x)
    fit = sskmeans(ArrayRows(x), label, K, **PLAIN)
    pinned = assign(ArrayRows(x), fit.centroids, label=label).assignment
    free = assign(ArrayRows(x), fit.centroids).assignment
    assert (pinned == label)[:, label >= 0].all()
    assert (free != label)[:, label >= 0].any(), "or the labels were no test"
    np.testing.assert_array_equal(pinned[:, label < 0], free[:, label < 0])


def test_known_classes_start_at_the_means_of_their_labelled_images():
    x = blobs() + 1000
    label = labels_of(x)
    rows = ArrayRows(x)
    means = known_means(Data(rows, fit_centering(rows, False), "cpu"), label, OLD, x.shape[1])
    expected = [x[label == c].mean(axis=0, dtype=np.float64) for c in range(OLD)]
    np.testing.assert_allclose(means, expected, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_new_starts_are_drawn_as_by_full_recomputation(device: str):
    """Every step: the distance to all given and chosen centroids, by a plain loop."""
    generator = np.random.default_rng(0)
    x, given, new, run = generator.normal(size=(80, 4)), generator.normal(size=(3, 4)), 6, (4, 2)
    draws, chosen = np.random.default_rng(run).random((new, local_trials(new))), list[int]()

    def left(*rows: int) -> np.ndarray:
        centres = np.concatenate([given, x[list(rows)]])
        return np.array([min(np.square(one - c).sum() for c in centres) for one in x])

    for step in range(new):
        weight = np.cumsum(left(*chosen))
        candidates = np.searchsorted(weight, draws[step] * weight[-1], side="right")
        chosen.append(min(candidates.tolist(), key=lambda row: left(*chosen, row).sum()))
    tensors = torch.from_numpy(x).to(device), torch.from_numpy(given).to(device)
    ours = kmeans_plus_plus(tensors[0], new, [(0, 0), run], tensors[1])[1]
    assert ours.tolist() == chosen


def test_new_starts_are_unlabelled_images_away_from_known_classes():
    """Two tight groups are known, if not of all their images; the new cluster starts in the third,
    which alone is all unlabelled."""
    groups = np.repeat([[0, 0], [50, 0], [0, 50]], 30, axis=0)
    x = (np.random.default_rng(0).normal(size=(90, 2)) + groups).astype(np.float32)
    label = np.where(np.arange(90) % 5 == 0, np.repeat([0, 1, -1], 30), -1)
    once = {"n_init": 1, "seeds": range(20), "max_iter": 1}
    fit = sskmeans(ArrayRows(x), label, 3, **{**PLAIN, **once})
    np.testing.assert_allclose(fit.centroids[:, 2], np.tile(x[60:].mean(0), (20, 1)), atol=1e-4)


def test_the_order_of_images_permutes_the_answer():
    x = blobs(spread=2.0)
    label, order = labels_of(x), np.random.default_rng(0).permutation(len(x))
    start = starts_of(x, label)
    straight, mixed = from_start(x, label, start), from_start(x[order], label[order], start)
    np.testing.assert_allclose(straight.centroids, mixed.centroids, atol=1e-5)
    found = assign(ArrayRows(x), straight.centroids, label=label).assignment[0]
    again = assign(ArrayRows(x[order]), mixed.centroids, label=label[order]).assignment[0]
    np.testing.assert_array_equal(found[order], again)


def test_threads_and_the_runs_that_go_together_change_nothing(monkeypatch: pytest.MonkeyPatch):
    x, before, found = blobs(9000), torch.get_num_threads(), []
    label, few = labels_of(x), {**PLAIN, "max_iter": 5}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(sskmeans(ArrayRows(x), label, K, **few))
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr("cluster.kmeans.api.CELLS", 1)
    monkeypatch.setattr("cluster.kmeans.init.CELLS", 1)
    found.append(sskmeans(ArrayRows(x), label, K, **few))
    for other in found[1:]:
        for left, right in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_tiles_and_where_rows_lie_change_only_rounding(monkeypatch: pytest.MonkeyPatch):
    x = blobs(200)
    label = labels_of(x)
    scattered = np.zeros((2 * len(x), x.shape[1]), np.float32)
    scattered[1::2] = x
    whole = sskmeans(ArrayRows(x), label, K, **PLAIN)
    through = Subset(ArrayRows(scattered), np.arange(1, 2 * len(x), 2))
    np.testing.assert_array_equal(whole.centroids, sskmeans(through, label, K, **PLAIN).centroids)
    for place in ("cluster.vectors.tiles.TILE", "cluster.kmeans.semi_supervised.TILE"):
        monkeypatch.setattr(place, 7)  # some tiles without a labelled image, some with no other
    tiled = sskmeans(ArrayRows(x), label, K, **PLAIN)
    np.testing.assert_allclose(whole.centroids, tiled.centroids, atol=1e-5)


def test_a_seed_gives_the_same_beside_any_other_seeds():
    x = blobs(spread=2.0)
    rows, label = ArrayRows(x), labels_of(x)
    alone = sskmeans(rows, label, K, **{**PLAIN, "seeds": [7], "init_images": 50})
    beside = sskmeans(rows, label, K, **{**PLAIN, "seeds": [3, 7], "init_images": 50})
    np.testing.assert_array_equal(alone.centroids[0], beside.centroids[1])


@pytest.mark.parametrize("device", DEVICES)
def test_empty_clusters_take_the_furthest_unlabelled_images(device: str):
    """All are nearest to the first start. 0 and 90 lie furthest but are labelled, 4 and 6 go; in
    the next pass 5 joins 4, the first of two that are equally near."""
    x = np.array([[0], [90], [4], [5], [6]], np.float32)
    start, label = np.array([[5], [900], [901]]), np.array([0, 0, -1, -1, -1])
    once = from_start(x, label, start, max_iter=1, device=device)
    assert once.centroids.ravel().tolist() == pytest.approx([95 / 3, 4, 6])
    fit = from_start(x, label, start, device=device)
    assert fit.centroids.ravel().tolist() == [45, 4.5, 6]


@pytest.mark.parametrize("scale", [1.0, 0.1, 1 / 3])
def test_more_clusters_than_different_images_come_to_an_end(scale: float):
    x = np.repeat(np.eye(3, 5, dtype=np.float32), 10, axis=0) * np.float32(scale)
    label = np.full(30, -1)
    label[[0, 1, 10]] = [0, 0, 1]
    for size in (None, 4):
        fit = sskmeans(ArrayRows(x), label, 8, **{**PLAIN, "tol": 0}, cluster_size=size)
        assert fit.inertia.max() < 1e-9
        assert fit.iterations.max() < 20


def test_all_images_may_be_alike():
    label = np.where(np.arange(20) < 4, 0, -1)
    fit = sskmeans(ArrayRows(np.ones((20, 4), np.float32)), label, 3, **PLAIN)
    np.testing.assert_allclose(fit.inertia, 0)
    assert np.isfinite(fit.centroids).all()


def test_there_may_be_no_new_cluster():
    x = blobs()
    label = labels_of(x)
    fit = sskmeans(ArrayRows(x), label, OLD, **{**PLAIN, "tol": 0})
    found, _, inertia = plain_loop(x, label, starts_of(x, label, OLD), int(fit.iterations[0]))
    np.testing.assert_allclose(fit.centroids[1], found, atol=1e-5)
    assert fit.inertia[0] == pytest.approx(inertia, rel=1e-6)


@pytest.mark.parametrize(
    ("label", "k", "said"),
    [
        ([0, 1, 2, -1, -1, -1], 2, "k is 2, but 3 classes are known: choose k from 3 on"),
        ([0, 2, 2, -1, -1, -1], 4, "known class 1 of 3 has no labelled image"),
        ([0, 1, 0, 1, 0, 1], 3, "all 6 images are labelled: nothing is left to cluster"),
        ([0, 1, 0, 1, 0, -1], 4, "2 classes are known and 1 images unlabelled: choose k from 2 to"),
        (
            [0, -2, 0, 1, 0, -1],
            3,
            "6 labels from -2 on were given: expected one for each of 6 images",
        ),
        ([0, -1, 1], 3, "3 labels from -1 on were given: expected one for each of 6 images"),
        ([0, -1, 1, -1, -1, -1], 7, "k is 7, but there are 6 images to fit on"),
    ],
)
def test_labels_that_cannot_be_are_refused(label: list[int], k: int, said: str):
    rows = ArrayRows(np.arange(12).reshape(6, 2))
    with pytest.raises(ClusterError, match=said):
        sskmeans(rows, np.array(label), k, **PLAIN)


def test_starts_that_do_not_fit_are_refused():
    x = blobs(40)
    with pytest.raises(
        ClusterError, match=r"starts have the shape \[1, 2, 12\]: .* of 3 clusters, 12 dims"
    ):
        sskmeans(ArrayRows(x), np.full(40, -1), 3, starts=x[None, :2], **PLAIN)


def test_more_starts_are_never_worse_and_each_pass_is_told():
    x, told = blobs(spread=2.5), list[int]()
    label = labels_of(x)
    one = sskmeans(ArrayRows(x), label, K, **{**PLAIN, "n_init": 1}, progress=told.append)
    ten = sskmeans(ArrayRows(x), label, K, **{**PLAIN, "n_init": 10})
    assert (ten.inertia <= one.inertia).all()
    assert told[0] == 2 * len(x)
    assert len(told) == one.iterations.max()
