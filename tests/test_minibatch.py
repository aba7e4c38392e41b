"""Mini-batch k-means: nearly Lloyd's result, from shuffled batches."""

import numpy as np
import pytest
from test_kmeans import PLAIN, blobs

from cluster import ClusterError
from cluster.kmeans import kmeans
from cluster.minibatch import minibatch_kmeans
from cluster.rows import ArrayRows

SMALL = {"seeds": [0, 1], "n_init": 3, "epochs": 8, "batch": 100}


@pytest.mark.parametrize("cosine", [False, True])
def test_it_comes_near_lloyds_inertia(cosine: bool):
    rows = ArrayRows(blobs(3000))
    full = kmeans(rows, 6, cosine=cosine, **PLAIN)
    mini = minibatch_kmeans(rows, 6, cosine=cosine, **SMALL)
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
