"""How strange images are: a worked example, the definition image by image, and copies."""

import numpy as np
import pytest

from cluster.curate.outliers import FEW, outlier_scores
from cluster.errors import ClusterError


def table(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    distance = np.abs(x[:, None] - x)
    np.fill_diagonal(distance, np.inf)
    near = distance.argsort(axis=1, kind="stable")[:, :k]
    return near, np.take_along_axis(distance, near, axis=1)


def scores(x: np.ndarray, k: int, kept: np.ndarray | None = None, **given: np.ndarray):
    neighbor, far = table(x, given.get("columns", np.array(k)).item())
    kept = np.arange(len(x)) if kept is None else kept
    cluster = given.get("cluster", np.zeros(len(x), int))
    return outlier_scores(neighbor, far, kept, cluster, k)


def test_by_hand():
    """Points 0 1 2 3 5 9: the nearest is 1 1 1 1 2 4 away. The median is 1, the median deviation 0,
    so that nothing says how far is usual. With 0 1 3 6 10 15 it is 1 1 2 3 4 5: median 2.5, MAD
    1.5."""
    assert not scores(np.array([0.0, 1, 2, 3, 5, 9]), 1).any()
    found = scores(np.array([0.0, 1, 3, 6, 10, 15]), 1)
    expected = (np.array([1, 1, 2, 3, 4, 5]) - 2.5) / (1.4826 * 1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_image_is_strange_for_its_cluster_and_for_all():
    """A dense cluster with a point at its border, a loose one, and one point between them."""
    rng = np.random.default_rng(0)
    dense, loose = rng.uniform(0, 1, FEW), rng.uniform(100, 200, FEW)
    x = np.concatenate([dense, [1.4], loose, [50.0]])
    cluster = np.repeat([0, 1], [FEW + 1, FEW + 1])
    found = scores(x, 3, cluster=cluster)
    assert found.argmax() == len(x) - 1
    assert found[FEW] < 1 < 3 < found[-1]


def test_the_definition_image_by_image():
    rng = np.random.default_rng(1)
    x, k = rng.normal(size=200), 4
    cluster = rng.integers(0, 3, 200)
    neighbor, far = table(x, 10)
    kept = np.arange(200)
    kept[10:20] = 9
    furthest, mean = np.empty(200), np.empty(200)
    for i in range(200):
        others = [j for j in range(10) if kept[neighbor[i, j]] == neighbor[i, j] != kept[i]][:k]
        furthest[i], mean[i] = far[i, others[-1]], far[i, others].mean()

    def deviations(v: np.ndarray, of: np.ndarray) -> np.ndarray:
        return (v - np.median(of)) / (1.4826 * np.median(np.abs(of - np.median(of))))

    expected = [
        min(
            deviations(furthest[i], furthest[cluster == cluster[i]]),
            deviations(mean[i], mean),
        )
        for i in range(200)
    ]
    found = outlier_scores(neighbor, far, kept, cluster, k)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_copies_of_a_foreign_image_do_not_make_it_typical():
    x = np.concatenate([np.random.default_rng(2).uniform(0, 1, 60), np.full(4, 30.0)])
    kept = np.arange(64)
    alone = scores(x, 2, columns=np.array(8))
    kept[61:] = 60
    found = scores(x, 2, kept, columns=np.array(8))
    assert alone[60] < 1 < found[60]
    assert (found[61:] > 1).all()


def test_all_alike_is_nothing_strange_and_few_columns_do():
    assert not scores(np.ones(9), 8).any()
    kept = np.zeros(9, int)
    assert not scores(np.ones(9), 3, kept).any()  # copies alone
    with pytest.raises(ClusterError, match="neighbour 9"):
        outlier_scores(np.zeros((9, 8), int), np.zeros((9, 8)), kept, kept, 9)
