"""Quotas by cluster or class: they sum up, nobody owes more than it has, the rare ones first."""

from fractions import Fraction

import numpy as np
import pytest

from cluster.errors import ClusterError
from cluster.neighbors.balanced_sample import apportion, balanced_sample


def test_a_worked_example():
    """60, 30 and 10 images weigh 40, 70 and 90: of 20 that is 4, 7 and 9."""
    assert apportion(np.array([60, 30, 10]), 20).tolist() == [4, 7, 9]


def test_what_a_group_cannot_give_is_handed_on():
    """Of 50 the shares are 10, 17.5 and 22.5. The last has 10 only: the 40 that are left are shared
    40 to 70, which is 14.5 and 25.5, and the larger remainder, of two alike the rarer group's, is
    rounded up."""
    assert apportion(np.array([60, 30, 10]), 50).tolist() == [15, 25, 10]
    assert apportion(np.array([60, 30, 10]), 95).tolist() == [55, 30, 10]


def test_the_largest_remainders_are_rounded_up_and_of_equal_ones_the_rarer_group():
    """Of 2 from groups that weigh 3, 3 and 4 the shares are 0.6, 0.6 and 0.8."""
    assert apportion(np.array([2, 2, 1]), 2).tolist() == [1, 0, 1]
    assert apportion(np.array([5, 5, 5]), 4).tolist() == [2, 1, 1]
    assert apportion(np.array([6, 5, 5]), 4).tolist() == [1, 2, 1]


@pytest.mark.parametrize("seed", range(20))
def test_quotas_sum_to_the_total_and_stay_below_the_sizes(seed: int):
    rng = np.random.default_rng(seed)
    sizes = (rng.pareto(0.7, rng.integers(1, 40)) * 5).astype(np.int64)
    for total in np.unique(rng.integers(0, sizes.sum() + 1, 30)).tolist():
        found = apportion(sizes, total)
        assert found.dtype == np.int64
        assert found.sum() == total
        assert (found >= 0).all()
        assert (found <= sizes).all()


@pytest.mark.parametrize("seed", range(10))
def test_quotas_are_those_of_plain_fractions(seed: int):
    """Water-filling with exact fractions, a group at a time, is never a whole image away."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, 8)
    total = int(rng.integers(1, sizes.sum()))
    weight = {g: Fraction(int(sizes.sum() - n)) for g, n in enumerate(sizes)}
    share, left, unfilled = {}, Fraction(total), set(weight)
    while unfilled:
        now = {g: left * weight[g] / sum(weight[o] for o in unfilled) for g in unfilled}
        over = min(unfilled, key=lambda g: Fraction(int(sizes[g])) / weight[g])
        if now[over] < sizes[over]:
            share |= now
            break
        share[over] = Fraction(int(sizes[over]))
        left -= share[over]
        unfilled.remove(over)
    found = apportion(sizes, total)
    assert all(abs(found[g] - share[g]) < 1 for g in share)


def test_order_of_the_groups_counts_only_in_ties():
    sizes = np.array([100, 7, 33, 2, 51])
    order = np.array([3, 0, 4, 1, 2])
    assert apportion(sizes[order], 40).tolist() == apportion(sizes, 40)[order].tolist()


def test_the_rarer_group_gives_the_larger_share_of_what_it_has():
    sizes = np.array([1000, 500, 100, 20, 5])
    share = apportion(sizes, 200) / sizes
    assert (np.diff(share) > 0).all() or share[-1] == 1
    assert share[3] == share[4] == 1


@pytest.mark.parametrize("total", [0, 1, 6, 7])
def test_one_group_gives_all_that_is_asked_for(total: int):
    assert apportion(np.array([7]), total).tolist() == [total]
    assert apportion(np.array([0, 7, 0]), total).tolist() == [0, total, 0]


def test_no_group_gives_nothing():
    assert apportion(np.zeros(0, np.int64), 0).tolist() == []
    assert balanced_sample(np.zeros(0, np.int64), np.zeros(0), 0).tolist() == []


def test_more_than_there_is_is_refused():
    with pytest.raises(ClusterError, match="a sample of 8 images was requested, the groups have 7"):
        apportion(np.array([4, 3]), 8)


def test_a_million_images_in_many_groups_do_not_overflow():
    sizes = np.full(25_000, 50_000)
    sizes[0] = 10**9
    found = apportion(sizes, 1_300_000_000)
    assert found.sum() == 1_300_000_000
    assert (found[1:] == 50_000).all()  # the first weighs half as much and has far more to give


def test_within_a_group_the_most_similar_are_taken():
    group = np.array([5, -1, 5, 5, -1, 5])
    similarity = np.array([0.1, 0.9, 0.8, 0.8, 0.3, 0.9], np.float32)
    # The groups weigh 4 (of two images) and 2 (of four): of 3 images 2 and 1.
    assert balanced_sample(group, similarity, 3).tolist() == [False, True, False, False, True, True]
    # Of equal ones the lower image.
    assert balanced_sample(group[group > 0], similarity[group > 0], 2).tolist() == [
        False, True, False, True,
    ]  # fmt: skip
