"""K-means by two levels: how groups are divided, how near it comes to Lloyd's, odd inputs."""

import numpy as np
import pytest
import torch

from cluster import ClusterError
from cluster.kmeans.api import kmeans
from cluster.kmeans.hierarchical.two_levels import divisions, hierarchical_kmeans
from cluster.vectors.rows import ArrayRows

SETTINGS = {"n_init": 1, "max_iter": 20, "tol": 1e-4}


def points(n: int = 4000, dim: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(20, dim))[np.arange(n) % 20] + 0.5 * rng.normal(size=(n, dim))).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("size", "k", "expected"),
    [
        ([60, 30, 10], 10, [6, 3, 1]),
        ([55, 35, 10], 10, [6, 3, 1]),  # of equal remainders the lower number
        ([97, 1, 1, 1], 4, [1, 1, 1, 1]),  # one at least
        ([97, 1, 1, 1], 50, [47, 1, 1, 1]),  # no more than images
        ([5, 0, 5], 4, [2, 0, 2]),
        ([3, 2], 5, [3, 2]),
    ],
)
def test_groups_are_divided_in_proportion(size: list[int], k: int, expected: list[int]):
    assert divisions(np.array(size), k).tolist() == expected


def test_any_division_adds_up():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = rng.integers(0, 50, rng.integers(1, 12)) * (rng.random() < 0.9)
        if not (there := int((size > 0).sum())):
            continue
        k = int(rng.integers(there, size.sum() + 1))
        number = divisions(size, k)
        assert number.sum() == k
        assert (number <= size).all()
        assert ((number > 0) == (size > 0)).all()


@pytest.mark.parametrize("cosine", [False, True])
def test_its_inertia_is_near_that_of_lloyds_algorithm(cosine: bool):
    x = ArrayRows(points())
    two = hierarchical_kmeans(x, 100, seeds=[0, 1], cosine=cosine, **SETTINGS)
    flat = kmeans(x, 100, seeds=[0, 1], cosine=cosine, **SETTINGS)
    assert two.centroids.shape == (2, 100, 8)
    assert (two.inertia < 1.06 * flat.inertia).all()


def test_the_same_seed_gives_the_same_bytes_at_any_number_of_threads():
    x, before, found = ArrayRows(points(1500)), torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            fit = hierarchical_kmeans(x, 60, seeds=[3], **SETTINGS)
            found.append(b"".join(array.tobytes() for array in fit))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_progress_is_told_twice_the_images_for_each_seed():
    told = list[int]()
    x = ArrayRows(points(500))
    hierarchical_kmeans(x, 10, seeds=[0, 1], progress=told.append, **SETTINGS)
    assert sum(told) == 2 * 2 * 500


@pytest.mark.parametrize("k", [1, 2, 7])
def test_few_images_are_their_own_clusters(k: int):
    x = np.eye(7, 4, dtype=np.float32) + np.arange(7, dtype=np.float32)[:, None]
    fit = hierarchical_kmeans(ArrayRows(x), k, seeds=[0], **SETTINGS)
    assert np.isfinite(fit.centroids).all()
    assert k < 7 or fit.inertia[0] == pytest.approx(0, abs=1e-6)


def test_many_copies_leave_clusters_for_the_other_images():
    """Of a group of copies only one cluster has images; the last pass gives the others some."""
    x = points(300)
    x[:150] = x[0]
    fit = hierarchical_kmeans(ArrayRows(x), 100, seeds=[0], **SETTINGS)
    assert np.isfinite(fit.inertia).all()
    assert fit.inertia[0] < kmeans(ArrayRows(x), 40, seeds=[0], **SETTINGS).inertia[0]


def test_more_clusters_than_images_are_refused():
    with pytest.raises(ClusterError, match="k is 8, but there are 7 images"):
        hierarchical_kmeans(ArrayRows(points(7)), 8, seeds=[0], **SETTINGS)
