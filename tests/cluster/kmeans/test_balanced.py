"""The balanced passes: a plain loop's answer, sizes that are kept, and plain passes after them."""

from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES, blobs
from test_semi_supervised import OLD, PLAIN, K, labels_of, starts_of

from cluster import ClusterError
from cluster.kmeans.assign import assign
from cluster.kmeans.balanced import PASSES, balanced_passes, even_size, reassign_surplus, surplus
from cluster.kmeans.centering import fit_centering
from cluster.kmeans.data import Data
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows, Rows

LINE = np.array([[1], [2], [3], [4], [11], [21]], np.float32)
TENS = np.array([[0], [10], [20]], np.float32)


def seen(rows: Rows, device: str) -> Data:
    return Data(rows, fit_centering(rows, False), device)


def evened(
    x: np.ndarray, centroids: np.ndarray, label: np.ndarray, size: int, rounds: int, device: str
) -> np.ndarray:
    """The clusters after so many rounds, from the nearest ones on."""
    c = torch.tensor(centroids, dtype=torch.float32)
    found = assign(ArrayRows(x), c[None].numpy(), label=label)
    cluster, distance = found.assignment[0], found.distance[0]
    data = seen(ArrayRows(x), device)
    inside = data.centering.transform(centroids[None], device)
    assert data.centering.inverse_transform(inside) == pytest.approx(centroids[None])
    inside = inside[0]
    reassign_surplus(data, inside, cluster, distance, label, size, rounds=rounds)
    expected = np.linalg.norm(x - centroids[cluster], axis=1)
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-5)
    return cluster


def plain_rounds(
    x: np.ndarray, centroids: np.ndarray, label: np.ndarray, size: int, rounds: int
) -> np.ndarray:
    """The same, cluster by cluster and image by image in float64."""
    x, centroids = x.astype(np.float64), centroids.astype(np.float64)
    distance = np.linalg.norm(x[:, None] - centroids, axis=2)
    cluster = np.where(label >= 0, label, distance.argmin(1))
    for _ in range(rounds):
        freed = list[int]()
        for c in range(len(centroids)):
            room = max(0, size - int((label == c).sum()))
            free = np.flatnonzero((cluster == c) & (label < 0)).tolist()
            freed += sorted(free, key=lambda i: (distance[i, c], i))[room:]
        kept = np.delete(cluster, freed)
        open_ = [c for c in range(len(centroids)) if (kept == c).sum() < size]
        for image in freed:
            cluster[image] = min(open_, key=lambda c: (distance[image, c], c))
    return cluster


def plain_passes(
    x: np.ndarray, label: np.ndarray, start: np.ndarray, old: int, size: int
) -> np.ndarray:
    centroids = start.astype(np.float64).copy()
    for rounds in range(PASSES):
        cluster = plain_rounds(x, centroids, label, size, rounds)
        for c in range(old, len(centroids)):
            centroids[c] = x[cluster == c].mean(axis=0, dtype=np.float64)
    return centroids


@pytest.mark.parametrize("device", DEVICES)
def test_a_worked_example(device: str):
    """Of 1 2 3 4 the cluster at 0 keeps two; 3 and 4 go to 10, nearest of those that are not full.
    Next, 10 keeps 11 and 4, and 3 goes to 20, the only one with room."""
    free = np.full(6, -1)
    for rounds, expected in [
        (0, [0, 0, 0, 0, 1, 2]),
        (1, [0, 0, 1, 1, 1, 2]),
        (2, [0, 0, 2, 1, 1, 2]),
        (9, [0, 0, 2, 1, 1, 2]),
    ]:
        assert evened(LINE, TENS, free, 2, rounds, device).tolist() == expected


def test_labelled_images_stay_and_take_room():
    """4 is of the class at 0: only one of 1 2 3 stays beside it."""
    label = np.array([-1, -1, -1, 0, -1, -1])
    assert evened(LINE, TENS, label, 2, 1, "cpu").tolist() == [0, 1, 1, 0, 1, 2]
    label = np.array([0, 0, 0, -1, -1, -1])  # three are more than fit: all stay, no other may
    assert evened(LINE, TENS, label, 2, 1, "cpu").tolist() == [0, 0, 0, 1, 1, 2]


def test_of_equally_close_images_the_first_stay():
    cluster, distance = np.zeros(6, np.int32), np.array([2, 1, 2, 1, 1, 2], np.float32)
    free = np.full(6, -1)
    assert surplus(cluster, distance, free, 2, 4).tolist() == [2, 5]
    assert surplus(cluster, distance, free, 2, 2).tolist() == [0, 2, 4, 5]
    assert surplus(cluster, distance, free, 2, 6).tolist() == []


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rounds", [1, 2, 9])
def test_rounds_are_those_of_a_plain_loop(
    rounds: int, device: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cluster.kmeans.balanced.TILE", 7)
    x = blobs(300, spread=2.0)
    label = labels_of(x, share=0.2)
    start = starts_of(x, label)
    expected = plain_rounds(x, start, label, even_size(300, K), rounds)
    found = evened(x, start, label, even_size(300, K), rounds, device)
    np.testing.assert_array_equal(found, expected)


def test_after_enough_rounds_no_cluster_is_too_large():
    x = blobs(300, k=3)  # 7 clusters of 3 groups
    label = np.where(np.arange(300) % 30 == 0, labels_of(x, 1), -1)
    start, size = starts_of(x, label), even_size(300, K)
    nearest = np.bincount(evened(x, start, label, size, 0, "cpu"), minlength=K)
    even = np.bincount(evened(x, start, label, size, 300, "cpu"), minlength=K)
    assert nearest.max() > size
    assert even.max() <= size


@pytest.mark.parametrize("device", DEVICES)
def test_the_passes_are_those_of_a_plain_loop_and_known_centroids_stay(device: str):
    x = blobs(300, spread=2.0)
    label = labels_of(x)
    start, size = starts_of(x, label).astype(np.float32), even_size(300, K)
    data = seen(ArrayRows(x), device)
    told = list[int]()
    ours, lowest = balanced_passes(data, start[None], label, OLD, size, told.append)
    np.testing.assert_allclose(ours[0], plain_passes(x, label, start, OLD, size), atol=1e-4)
    np.testing.assert_array_equal(ours[0, :OLD], start[:OLD])
    assert told[0] == 0 < told[1]
    assert len(told) == PASSES
    distance = assign(ArrayRows(x), lowest.centroids, label=label).distance.astype(np.float64)
    assert lowest.inertia[0] == pytest.approx(np.square(distance).sum(), rel=1e-6)


def test_then_plain_passes_follow_and_the_lower_inertia_is_kept():
    x = blobs(spread=2.0)
    rows, label, size = ArrayRows(x), labels_of(x), even_size(600, K)
    start = starts_of(x, label).astype(np.float32)[None]
    more: dict[str, Any] = {"seeds": [0], "n_init": 1, "tol": 0}
    fit = sskmeans(rows, label, K, starts=start, max_iter=99, cluster_size=size, **more)
    ends, lowest = balanced_passes(seen(rows, "cpu"), start, label, OLD, size, lambda moved: None)
    plain = sskmeans(rows, label, K, starts=ends, max_iter=99, **more)
    assert fit.inertia[0] == min(lowest.inertia[0], plain.inertia[0]) == plain.inertia[0]
    np.testing.assert_array_equal(fit.centroids, plain.centroids)
    assert fit.iterations[0] == PASSES + plain.iterations[0]


def test_a_balanced_pass_that_is_lower_than_the_end_is_kept():
    """Started where plain passes end, with clusters of very different size: the balanced passes
    lead away, and 1 pass more does not lead back."""
    x = np.concatenate([np.zeros((9, 1)), np.full((1, 1), 9), np.full((2, 1), 30)])
    x = (x + np.linspace(0, 1, 12)[:, None]).astype(np.float32)
    label = np.full(12, -1)
    label[-1] = 0
    start = np.array([[x[10:].mean()], [x[:9].mean()], [x[9, 0]]], np.float32)[None]
    more: dict[str, Any] = {"seeds": [0], "n_init": 1, "tol": 0, "max_iter": 1, "starts": start}
    best = sskmeans(ArrayRows(x), label, 3, **more)
    fit = sskmeans(ArrayRows(x), label, 3, cluster_size=4, **more)
    ends, _ = balanced_passes(seen(ArrayRows(x), "cpu"), start, label, 1, 4, lambda moved: None)
    away = sskmeans(ArrayRows(x), label, 3, **{**more, "starts": ends})
    assert best.inertia[0] == pytest.approx(fit.inertia[0])
    assert away.inertia[0] > fit.inertia[0]
    assert fit.iterations[0] == 0


def test_clusters_too_small_for_the_images_are_refused():
    with pytest.raises(
        ClusterError, match="3 clusters of at most 3 images are too small for 10: allow 4 a cluster"
    ):
        sskmeans(ArrayRows(blobs(10)), np.full(10, -1), 3, cluster_size=3, **PLAIN)
