"""Near-duplicates within clusters, beside the definition, and coverage beside all pairs."""

import numpy as np
import pytest

from cluster.curate.coverage import dissimilarity, nearest_chosen
from cluster.curate.semantic_duplicates import semantic_duplicates
from cluster.errors import ClusterError
from cluster.vectors.rows import ArrayRows


def on_circle(*degrees: float) -> ArrayRows:
    angle = np.radians(degrees)
    return ArrayRows(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))


def close(degrees: float) -> float:
    return float(1 - np.cos(np.radians(degrees)))


def found(rows: ArrayRows, cluster: list[int], distance: list[float], epsilon: float) -> list[int]:
    of = np.array(cluster, np.int32), np.array(distance, np.float32)
    return semantic_duplicates(rows, *of, epsilon).tolist()


def test_the_most_typical_of_a_group_is_kept():
    rows = on_circle(0, 1, 2, 40)
    assert found(rows, [0] * 4, [0.3, 0.1, 0.2, 0.0], close(1.5)) == [1, 1, 1, 3]
    assert found(rows, [0] * 4, [0.1, 0.1, 0.1, 0.0], close(1.5)) == [0, 0, 2, 3]


def test_a_chain_keeps_both_ends():
    """Ends are 2 degrees apart, and unlike; SemDeDup would drop all but the first."""
    assert found(on_circle(0, 1, 2), [0] * 3, [0, 1, 2], close(1.5)) == [0, 0, 2]


def test_alike_images_of_different_clusters_are_both_kept():
    assert found(on_circle(0, 1, 0), [0, 1, 0], [0, 0, 1], close(2)) == [0, 1, 0]


def test_epsilon_0_drops_what_points_the_same_way():
    rows = ArrayRows(np.array([[1, 2], [2, 4], [1, 2.01], [0, 0], [0, 0]], np.float32))
    assert found(rows, [0] * 5, [0, 1, 2, 3, 4], 0) == [0, 0, 2, 3, 3]


@pytest.mark.parametrize("seed", range(3))
def test_each_dropped_image_has_a_kept_one_within_epsilon_and_no_two_kept_are_alike(seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    cluster, distance = rng.integers(0, 5, 300).astype(np.int32), rng.random(300, np.float32)
    told: list[int] = []
    kept = semantic_duplicates(ArrayRows(x), cluster, distance, 0.05, progress=told.append)
    assert sum(told) == 300
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit.astype(np.float64) @ unit.T
    keeps = kept == np.arange(300)
    same = cluster[:, None] == cluster
    assert (cosine[np.arange(300), kept] >= 0.95 - 1e-6).all()
    assert same[np.arange(300), kept].all()
    assert keeps[kept].all()
    pairs = (cosine >= 0.95) & same & keeps & keeps[:, None]
    assert (pairs == np.diag(keeps)).all()
    assert (distance[kept] <= distance).all()


@pytest.mark.parametrize("epsilon", [-0.1, 1.0])
def test_an_epsilon_that_is_no_cosine_is_refused(epsilon: float):
    with pytest.raises(ClusterError):
        found(on_circle(0, 1), [0, 0], [0, 0], epsilon)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_the_nearest_chosen_is_that_of_all_pairs(metric):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    chosen, looked_at = np.array([3, 17, 44]), np.array([0, 3, 8, 49])
    y = x.astype(np.float64)
    if metric == "cosine":
        y /= np.linalg.norm(y, axis=1, keepdims=True)
    far = -(y @ y.T) + (metric == "cosine")
    if metric == "euclidean":
        far = np.linalg.norm(y[:, None] - y, axis=2)
    got = nearest_chosen(ArrayRows(x), looked_at, chosen, metric=metric)
    np.testing.assert_allclose(got, far[looked_at][:, chosen].min(axis=1), atol=1e-6)
    assert dissimilarity(np.float32([0.5]), metric).dtype == np.float64
