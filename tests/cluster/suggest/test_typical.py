"""The most typical images of a group."""

import numpy as np
import pytest
from suggested import blobs, neighbors_of

from cluster.errors import ClusterError
from cluster.suggest.typical import away_from_centre, own_support, typical_order, unit_means


def test_the_inside_of_a_group_comes_before_its_border_and_the_nearest_first():
    supported = np.array([1.0, 0.5, 1.0, 0.99, 0.2])
    away = np.array([0.3, 0.0, 0.1, 0.2, 0.0])
    assert typical_order(np.arange(5), supported, away).tolist() == [2, 3, 0, 1, 4]
    assert typical_order(np.array([4, 0]), supported, away).tolist() == [0, 4]


def test_support_is_the_share_of_neighbours_with_the_same_label():
    x, group = blobs(noise=0.5)
    neighbor, similarity = neighbors_of(x, 6)
    found = own_support(neighbor, similarity, group)
    for image in range(len(x)):
        same = group[neighbor[image]] == group[image]
        expected = (similarity[image] * same).sum() / similarity[image].sum()
        assert found[image] == pytest.approx(expected, rel=1e-5)


def test_an_image_without_a_label_has_no_support_and_lies_away():
    x, group = blobs()
    group = np.where(np.arange(len(x)) < 5, -1, group)
    assert (own_support(*neighbors_of(x, 4), group)[:5] == 0).all()
    assert (away_from_centre(x, group)[:5] == 1).all()


def test_the_mean_is_that_of_the_members_in_any_order():
    x, group = blobs()
    centre, own = unit_means(x, group)
    for number in range(3):
        mean = x[group == number].astype(np.float64).mean(axis=0)
        assert np.allclose(centre[number], mean / np.linalg.norm(mean), atol=1e-6)
    assert (own == group).all()
    order = np.random.default_rng(1).permutation(len(x))
    assert np.allclose(away_from_centre(x[order], group[order]), away_from_centre(x, group)[order])


def test_odd_groups():
    empty = np.zeros(0, np.int64)
    assert typical_order(empty, np.zeros(3), np.zeros(3)).tolist() == []
    centre, own = unit_means(np.zeros((0, 4), np.float32), empty)
    assert centre.shape == (0, 4)
    assert own.shape == (0,)
    assert (away_from_centre(np.zeros((2, 3), np.float32), np.array([0, 0])) == 1).all()
    with pytest.raises(ClusterError, match="members are 0 to 3, expected 0 to 2"):
        typical_order(np.arange(4), np.zeros(3), np.zeros(3))
    with pytest.raises(ClusterError, match="2 images have a support, 3 a distance"):
        typical_order(empty, np.zeros(2), np.zeros(3))
