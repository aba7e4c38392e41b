"""SelEx's levels: known classes in fewer and fewer groups, results in the order of the images."""

from typing import Any

import numpy as np
import pytest

from cluster import ClusterError
from cluster.kmeans.assign import assign
from cluster.kmeans.semi_supervised import sskmeans
from cluster.objectives.selex_hierarchy import Level, hierarchy
from cluster.vectors.rows import ArrayRows

PLAIN: dict[str, Any] = {"seed": 0, "n_init": 5, "max_iter": 50, "tol": 0, "balance": False}
# Level 0 of the worked example: known classes at 0, 2, 10 and 12, new clusters at 24 and 30.
CENTROIDS = np.array([[0], [2], [10], [12], [24], [30]], np.float32)
CLUSTER = np.array([5, 0, 3, 4, 1, 2, 0])  # of each image


def partition(assignment: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(assignment == c).tolist()) for c in np.unique(assignment)}


def classes(
    n: int = 240, old: int = 7, new: int = 5, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, int]:
    """Images of clusters that lie far apart, and level 0."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(old + new, 6)) * 20
    cluster = generator.permutation(np.arange(n) % (old + new))
    return (
        (centres[cluster] + spread * generator.normal(size=(n, 6))).astype(np.float32),
        cluster,
        old,
    )


def levels(x: np.ndarray, cluster: np.ndarray, old: int, **more) -> list[Level]:
    means = np.stack([x[cluster == c].mean(axis=0) for c in range(cluster.max() + 1)])
    return hierarchy(ArrayRows(x), cluster, means, old, **{**PLAIN, **more})


def test_a_worked_example():
    """4 known classes and 2 new clusters → 2 groups, {0 2} and {10 12}, and 1 new → 1 and 1.
    Images of known classes go with their group, and those at 24 and 30 share the new cluster."""
    found = hierarchy(ArrayRows(CENTROIDS[CLUSTER]), CLUSTER, CENTROIDS, 4, **PLAIN)
    low, high = found[0].group[0], found[0].group[2]
    assert {low, high} == {0, 1}
    assert found[0].group.tolist() == [low, low, high, high]
    assert found[0].assignment.tolist() == [2, low, high, 2, low, high, low]
    assert found[0].centroids[[low, high, 2]].ravel().tolist() == pytest.approx([2 / 3, 11, 27])
    assert found[1].assignment.tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert found[1].centroids.ravel().tolist() == pytest.approx([24 / 5, 27])
    assert len(found) == 2


def test_every_level_is_in_the_order_of_the_images():
    """Of images in another order the answer is the same, in that order; one that lists images of
    known classes first, as the original does, would not be."""
    x, cluster, old = classes()
    order = np.random.default_rng(0).permutation(len(x))
    straight = levels(x, cluster, old, n_init=40)  # enough for the best of all partitions
    mixed = levels(x[order], cluster[order], old, n_init=40)
    for one, other in zip(straight, mixed, strict=True):
        assert partition(one.assignment[order]) == partition(other.assignment)
        listed = np.concatenate([np.flatnonzero(cluster < old), np.flatnonzero(cluster >= old)])
        assert partition(one.assignment[listed]) != partition(one.assignment)
        own = one.group[np.where(cluster < old, cluster, 0)]
        assert (one.assignment == own)[cluster < old].all()


def test_numbers_are_halved_until_one_group_is_left():
    found = levels(*classes())  # 7 + 5
    sizes = [(int(level.group.max()) + 1, len(level.centroids)) for level in found]
    assert sizes == [(3, 3 + 2), (1, 1 + 1)]
    x, cluster, old = classes(old=9, new=1)
    sizes = [(int(one.group.max()) + 1, len(one.centroids)) for one in levels(x, cluster, old)]
    assert sizes == [(4, 5), (2, 3), (1, 2)]


@pytest.mark.parametrize("balance", [False, True])
def test_the_images_outside_known_classes_are_clustered_as_sskmeans_does(balance: bool):
    x, cluster, old = classes(spread=8)
    for level in levels(x, cluster, old, balance=balance):
        k = len(level.centroids)
        label = np.where(cluster < old, level.group[np.where(cluster < old, cluster, 0)], -1)
        more: dict[str, Any] = {"seeds": [0], "n_init": 5, "max_iter": 50, "tol": 0}
        size = -(-len(x) // k)
        fits = [sskmeans(ArrayRows(x), label, k, cluster_size=s, **more) for s in (None, size)]
        fit = fits[balance]
        assert fits[0].iterations != fits[1].iterations, "or the passes were no test"
        np.testing.assert_array_equal(level.centroids, fit.centroids[0])
        found = assign(ArrayRows(x), fit.centroids, label=label).assignment[0]
        np.testing.assert_array_equal(level.assignment, found)


def test_known_classes_in_one_place_share_a_group():
    x, cluster, old = classes()
    means = np.ones((12, 6), np.float32)
    found = hierarchy(ArrayRows(x), cluster, means, old, **PLAIN)
    assert [level.group.tolist() for level in found] == [[0] * 7, [0] * 7]
    assert [len(level.centroids) for level in found] == [1 + 2, 1 + 1]


def test_few_images_outside_known_classes_make_few_clusters():
    x, cluster, old = classes(old=4, new=8)
    kept = (cluster < old) | (np.arange(len(x)) == np.flatnonzero(cluster == 11)[0])
    means = np.stack([x[cluster == c].mean(axis=0) for c in range(12)])
    found = hierarchy(ArrayRows(x[kept]), cluster[kept], means, old, **PLAIN)
    assert [len(level.centroids) for level in found] == [2 + 1, 1 + 1]


@pytest.mark.parametrize("old", [0, 1])
def test_fewer_than_2_known_classes_have_no_levels(old: int):
    x, cluster, _ = classes()
    assert levels(x, cluster, old) == []


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ([0, 1, 2, 3, 4], "level 0 assigns 5 images to clusters 0 to 4, expected 7 images and 6"),
        (
            [0, 1, 2, 3, 4, 6, 0],
            "level 0 assigns 7 images to clusters 0 to 6, expected 7 images and 6",
        ),
        ([0, 1, 2, 3, 3, 1, 0], "all 7 images are labelled: nothing is left to cluster"),
        ([0, 0, 0, 0, 0, 0, 4], "known class . of 2 has no labelled image"),
    ],
)
def test_a_level_0_that_does_not_fit_is_refused(cluster: list[int], said: str):
    rows = ArrayRows(CENTROIDS[CLUSTER])
    with pytest.raises(ClusterError, match=said):
        hierarchy(rows, np.array(cluster), CENTROIDS, 4, **PLAIN)
