"""Water-filling and hierarchical sampling, beside the definition one parent at a time."""

import numpy as np
import pytest

from cluster.curate.sampling import hierarchical_sample, water_filling
from cluster.curate.segments import first_of_each, medians
from cluster.errors import ClusterError


def filled(size: list[int], wanted: int) -> list[int]:
    """By the definition: the largest c with sum of min(c, n) no more than wanted, the rest by
    ones to the largest."""
    c = max(c for c in range(max(size) + 1) if sum(min(c, n) for n in size) <= wanted)
    out = [min(c, n) for n in size]
    largest = sorted((-n, i) for i, n in enumerate(size) if n > c)
    for _, i in largest[: wanted - sum(out)]:
        out[i] += 1
    return out


def test_small_clusters_give_all_and_large_ones_the_same():
    """1 + 3 + 3 + 3 is 10; of 12 the two largest give one more."""
    size, parent = np.array([1, 5, 9, 30]), np.zeros(4, int)
    assert water_filling(size, parent, np.array([10])).tolist() == [1, 3, 3, 3]
    assert water_filling(size, parent, np.array([12])).tolist() == [1, 3, 4, 4]
    assert water_filling(size, parent, np.array([0])).tolist() == [0, 0, 0, 0]
    assert water_filling(size, parent, np.array([45])).tolist() == size.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_all_parents_at_once_are_as_each_alone(seed: int):
    rng = np.random.default_rng(seed)
    parents, children = rng.integers(1, 6), rng.integers(1, 40)
    size, parent = rng.integers(0, 9, children), rng.integers(0, parents, children)
    most = np.bincount(parent, size, minlength=parents).astype(int)
    wanted = np.array([rng.integers(0, n + 1) for n in most])
    found = water_filling(size, parent, wanted)
    for one in range(parents):
        own = parent == one
        if own.any():
            assert found[own].tolist() == filled(size[own].tolist(), wanted[one])


def test_the_largest_sizes_do_not_overflow():
    size = np.full(3, 2**40)
    found = water_filling(size, np.zeros(3, int), np.array([2**41]))
    assert found.sum() == 2**41
    assert found.max() - found.min() <= 1


def test_a_sample_is_even_at_each_level():
    """Two top clusters, of 3 and 1 below; 12, 2, 1 and 9 images. 8 images are 4 and 4; the first 4
    are 2, 1 and 1."""
    finest = np.repeat([0, 1, 2, 3], [12, 2, 1, 9]).astype(np.int32)
    top = np.array([0, 0, 0, 1], np.int32)
    key = np.arange(24)[::-1].astype(float)
    taken = hierarchical_sample([finest, top], np.ones(24, bool), 8, key)
    assert np.bincount(finest[taken]).tolist() == [2, 1, 1, 4]
    assert taken.tolist() == [10, 11, 13, 14, 20, 21, 22, 23]  # those of lowest key


def test_only_eligible_images_are_taken_and_all_of_them_where_all_are_wanted():
    rng = np.random.default_rng(0)
    finest, top = rng.integers(0, 7, 60).astype(np.int32), np.array([0, 1, 1, 0, 2, 2, 0], np.int32)
    eligible = rng.random(60) < 0.5
    every = np.flatnonzero(eligible)
    for n in (0, 1, 11, len(every)):
        taken = hierarchical_sample([finest, top], eligible, n, rng.random(60))
        assert len(taken) == n
        assert np.isin(taken, every).all()
    assert taken.tolist() == every.tolist()
    with pytest.raises(ClusterError, match="images are asked for"):
        hierarchical_sample([finest, top], eligible, len(every) + 1, rng.random(60))


def test_one_level_is_plain_water_filling():
    finest = np.repeat([0, 1, 2], [50, 5, 1]).astype(np.int32)
    taken = hierarchical_sample([finest], np.ones(56, bool), 16, np.zeros(56))
    assert np.bincount(finest[taken]).tolist() == [10, 5, 1]


def test_the_first_of_each_group_by_key_ties_by_row():
    group, key = np.array([1, 0, 1, 1, 0]), np.array([3.0, 1, 2, 2, 1])
    assert first_of_each(group, key, np.array([1, 2])).tolist() == [1, 2, 3]
    assert first_of_each(group, key, np.array([0, 9, 4])).tolist() == [0, 2, 3]


def test_medians_are_numpys():
    rng = np.random.default_rng(1)
    group, value = rng.integers(0, 9, 100), rng.normal(size=100)
    expected = [np.median(value[group == g]) for g in range(9)]
    found = medians(value, group, 11)
    np.testing.assert_array_equal(found[:9], expected)
    assert np.isnan(found[9:]).all()
