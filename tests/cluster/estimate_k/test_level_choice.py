"""CiPR's number of classes: hierarchy by hand, classes never mix, groups are counted."""

import numpy as np
import pytest
from conftest import one_thread

from cluster import ClusterError
from cluster.estimate_k.level_choice import hidden_classes, score_levels
from cluster.estimate_k.neighbor_hierarchy import Level, levels, merges
from cluster.vectors.rows import ArrayRows

_quick = pytest.fixture(autouse=True)(one_thread)


def on_circle(*degrees: float) -> ArrayRows:
    angle = np.deg2rad(degrees)
    return ArrayRows(np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32))


def test_by_hand_nearest_neighbours_are_tied():
    """Two pairs, then one cluster of both."""
    first, second = levels(on_circle(0, 10, 60, 75), np.full(4, -1))
    assert first.own.tolist() == [0, 0, 1, 1]
    assert first.size.tolist() == [2, 2]
    np.testing.assert_allclose(first.centroid[0], on_circle(0, 10).block(0, 2).mean(0), rtol=1e-6)
    assert second.own.tolist() == [0, 0, 0, 0]


def test_by_hand_labels_keep_neighbours_apart():
    """The images at 0 and 10 are of two classes: each is tied to the other one of its class."""
    first, *rest = levels(on_circle(0, 10, 60, 75), np.array([0, 1, 0, 1]))
    assert first.own.tolist() == [0, 1, 0, 1]
    assert first.label.tolist() == [0, 1]
    assert not rest


def images(groups: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(60 * groups) % groups)
    x = 4 * rng.normal(size=(groups, 12))[truth] + rng.normal(size=(60 * groups, 12))
    return x.astype(np.float32), truth


def test_no_cluster_has_images_of_two_classes_on_any_level():
    x, truth = images()
    label = np.where((truth < 4) & (np.arange(len(truth)) % 2 == 0), truth, -1)
    found = list(levels(ArrayRows(x), label))
    assert len(found) > 1
    for level in found:
        for cluster in range(len(level.size)):
            inside = label[level.own == cluster]
            assert set(inside[inside >= 0]) == {level.label[cluster]} - {-1}
        assert level.size.sum() == len(x)
    sizes = [len(level.size) for level in found]
    assert sizes == sorted(sizes, reverse=True)


def test_merges_take_the_closest_pair_and_never_two_classes():
    centroid = on_circle(0, 10, 22, 90).block(0, 4)
    level = Level(np.arange(4, dtype=np.int32), np.array([0, 1, -1, -1]), centroid, np.ones(4, int))
    found = [to.tolist() for to in merges(level, 1)]
    assert found == [[0, 1, 1, 2], [0, 1, 1, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_clear_groups_are_counted(seed: int):
    x, truth = images()
    label = np.where((truth < 4) & (np.arange(len(truth)) % 2 == 0), truth, -1)
    assert score_levels(ArrayRows(x), label, least=4, most=30, seed=seed).best == 7


def test_images_may_come_in_any_order():
    x, truth = images()
    label = np.where((truth < 4) & (np.arange(len(truth)) % 2 == 0), truth, -1)
    other = np.random.default_rng(3).permutation(len(x))
    one, two = (
        score_levels(ArrayRows(rows), of, least=4, most=30, seed=0).best
        for rows, of in ((x, label), (x[other], label[other]))
    )
    assert one == two == 7


def test_labels_of_new_classes_do_not_exist_for_it():
    """What is hidden are known classes; the number is the same whatever the others are called."""
    label = np.array([0, 1, 2, 3, 4, -1])
    assert set(hidden_classes(label, 0)) < {0, 1, 2, 3, 4}
    assert len(hidden_classes(label, 0)) == 2
    assert len(hidden_classes(np.arange(20), 0)) == 4


def test_odd_inputs_end_in_a_number_in_the_limits_or_one_line():
    with pytest.raises(ClusterError, match=r"^1 classes are known, and some have to be hidden"):
        score_levels(on_circle(0, 10, 60), np.array([0, -1, -1]), least=1, most=3, seed=0)
    rng = np.random.default_rng(0)
    label = np.array([0, 0, 1, 1] + [-1] * 26)
    for x in (np.ones((30, 3)), rng.normal(size=(30, 1)), np.repeat(np.eye(3), 10, axis=0)):
        best = score_levels(ArrayRows(x.astype(np.float32)), label, least=2, most=9, seed=0).best
        assert 2 <= best <= 9
