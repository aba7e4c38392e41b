"""Mini-batch k-means: nearly Lloyd's result, from shuffled batches."""

import numpy as np
import pytest
import torch
from blobs import DEVICES, PLAIN, blobs

from cluster import ClusterError
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.minibatch import minibatch_kmeans
from cluster.vectors.rows import ArrayRows

SMALL = {"seeds": [0, 1], "n_init": 3, "epochs": 8, "batch": 100}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cosine", [False, True])
def test_it_comes_near_lloyds_inertia(cosine: bool, device: str):
    rows = ArrayRows(blobs(3000))
    full = kmeans(rows, 6, cosine=cosine, **PLAIN)
    mini = minibatch_kmeans(rows, 6, cosine=cosine, device=device, **SMALL)
    assert (mini.inertia < 1.03 * full.inertia.min()).all()
    assert (mini.inertia >= full.inertia.min() * (1 - 1e-6)).all()


def test_a_seed_gives_the_same_beside_any_other_seeds():
    rows = ArrayRows(blobs())
    alone = minibatch_kmeans(rows, 5, **{**SMALL, "seeds": [1]})
    beside = minibatch_kmeans(rows, 5, **SMALL)
    np.testing.assert_array_equal(alone.centroids[0], beside.centroids[1])


def test_one_batch_of_everything_is_a_lloyd_step():
    """With one batch, Sculley's step from zero counts is the mean of each cluster."""
    rows = ArrayRows(blobs(300))
    lloyd = kmeans(rows, 4, seeds=[0], n_init=1, max_iter=1, tol=0)
    mini = minibatch_kmeans(rows, 4, seeds=[0], n_init=1, epochs=1, batch=300)
    np.testing.assert_allclose(mini.centroids, lloyd.centroids, atol=1e-4)


def test_a_k_beyond_the_images_is_refused():
    with pytest.raises(ClusterError, match="choose k from 1 to 600"):
        minibatch_kmeans(ArrayRows(blobs()), 601, **SMALL)


def test_threads_change_nothing():
    rows, before, found = ArrayRows(blobs(3000)), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            found.append(minibatch_kmeans(rows, 8, **{**SMALL, "batch": 2500}))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].centroids, other.centroids)


@pytest.mark.parametrize("device", DEVICES)
def test_a_cluster_that_wins_nothing_moves_to_an_image(
    device: str, monkeypatch: pytest.MonkeyPatch
):
    """Starts beyond all images, and twice at the same place."""
    x = blobs(k=6)
    start = np.concatenate([x[:2], x[:2], np.full((2, x.shape[1]), 1e3, np.float32)])
    monkeypatch.setattr("cluster.kmeans.minibatch.start_centroids", lambda *_: start[None])
    common = {"seeds": [0], "n_init": 1, "batch": 100, "device": device}
    stuck = minibatch_kmeans(ArrayRows(x), 6, epochs=1, **common)
    freed = minibatch_kmeans(ArrayRows(x), 6, epochs=12, **common)
    best = kmeans(ArrayRows(x), 6, **PLAIN).inertia.min()
    assert stuck.inertia > 2 * best
    assert freed.inertia < 1.3 * best  # as good as a start that is not the best
    assert len(np.unique(assign(ArrayRows(x), freed.centroids).assignment)) == 6


def test_far_from_the_origin_it_finds_the_same_clusters():
    x = np.round(blobs() * 8) / 8
    near, far = (minibatch_kmeans(ArrayRows(x + away), 6, **SMALL) for away in (0, 4096))
    np.testing.assert_allclose(near.inertia, far.inertia, rtol=1e-3)


def test_batches_are_of_about_equal_size():
    """601 images in batches of 100: not six of 100 and one of a single image."""
    told: list[int] = []
    common = {**SMALL, "seeds": [0], "epochs": 2}
    minibatch_kmeans(ArrayRows(blobs(601)), 3, progress=told.append, **common)
    assert sum(told) == 2 * 601
    assert set(told) <= {85, 86}


def test_as_many_clusters_as_images_and_batches_of_one():
    fit = minibatch_kmeans(ArrayRows(blobs(20)), 20, **{**SMALL, "batch": 1})
    np.testing.assert_allclose(fit.inertia, 0, atol=1e-6)
