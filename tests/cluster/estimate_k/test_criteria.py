"""How many groups there are: the coding length, the elbow, the votes, and the search."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from cluster import ClusterError
from cluster.estimate_k.coding_length import coding_length
from cluster.estimate_k.consensus import consensus, votes
from cluster.estimate_k.criteria import CRITERIA, CriteriaSettings, candidate_ks, criteria, measure
from cluster.estimate_k.elbow import below_chord
from cluster.estimate_k.integer_search import maximize
from cluster.estimate_k.null_reference import Sample, null_reference
from cluster.estimate_k.stability import between_halves
from cluster.kmeans.api import Fit
from cluster.vectors.rows import ArrayRows

SEARCH = CriteriaSettings(n_init=2, max_iter=50, tol=1e-4, coding_dims=4, distortion=0.1)


def groups(number: int, each: int = 40, dims: int = 6, seed: int = 0) -> np.ndarray:
    """Clear groups, float32 [image, dim], shuffled."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(number, dims)) * 12
    x = np.repeat(centres, each, axis=0) + generator.normal(size=(number * each, dims))
    return generator.permutation(x).astype(np.float32)


def sample_of(x: np.ndarray) -> Sample:
    return Sample(x, np.arange(len(x)), x)


def plain_coding_length(v: np.ndarray, assignment: np.ndarray, eps: float) -> float:
    v = v.astype(np.float64) - v.astype(np.float64).mean(axis=0)
    n, d, bits = *v.shape, 0.0
    for cluster in set(assignment.tolist()):
        own = v[assignment == cluster]
        mean, n_i = own.mean(axis=0), len(own)
        scatter = sum(np.outer(row - mean, row - mean) for row in own)
        volume = np.linalg.det(np.eye(d) + d / (eps**2 * n_i) * scatter)
        bits += (n_i + d) / 2 * math.log2(volume)
        bits += d / 2 * math.log2(1 + sum(mean**2) / eps**2)
        bits += n_i * -math.log2(n_i / n)
    return bits


def test_the_coding_length_on_paper():
    # About their mean: -1, 1 in one cluster. (2 + 1)/2 log2(1 + 1/(2 · 1) · 2) = 3/2 bits.
    x = np.array([[4.0], [6.0]])
    assert coding_length(x, np.array([0, 0]), 1.0) == pytest.approx(1.5)
    # Apart: no spread, each mean 1 off: 1/2 log2(1 + 1) twice, and a bit each for the cluster.
    assert coding_length(x, np.array([0, 1]), 1.0) == pytest.approx(1 + 2)


@pytest.mark.parametrize("images", [40, 9])
def test_the_coding_length_is_that_of_a_plain_loop(images: int):
    generator = np.random.default_rng(1)
    x = generator.normal(size=(images, 5)).astype(np.float32) + 3
    assignment = np.array([7, 0, 3])[generator.integers(3, size=images)]
    expected = plain_coding_length(x, assignment, 0.3)
    assert coding_length(x, assignment, 0.3) == pytest.approx(expected, rel=1e-9)


def test_where_the_images_lie_and_how_clusters_are_called_has_no_say_in_the_coding_length():
    x, assignment = groups(3), np.arange(120) % 3
    expected = coding_length(x, assignment, 1.0)
    assert coding_length(x + np.float32(64), 2 - assignment, 1.0) == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize(("images", "eps"), [(0, 1.0), (4, 0.0), (4, math.nan)])
def test_nothing_can_be_told_of_nothing_or_exactly(images: int, eps: float):
    with pytest.raises(ClusterError, match="above 0"):
        coding_length(np.ones((images, 2)), np.zeros(images, int), eps)


def test_the_elbow_of_a_curve_on_paper():
    # log2 of both: (0, 4), (1, 0), (2, 0). The chord is at 2 in the middle, the curve at 0.
    assert below_chord(np.array([1, 2, 4]), np.array([16.0, 1.0, 1.0])) == pytest.approx(
        [0, 0.5, 0]
    )


def test_the_elbow_is_where_two_straight_lines_meet():
    k = np.arange(2, 40)
    inertia = np.where(k <= 7, k**-1.5, 7**-1.3 * k**-0.2) * 1000
    assert k[below_chord(k, inertia).argmax()] == 7


def test_a_straight_or_rising_curve_has_no_elbow():
    k = np.arange(2, 20)
    assert not below_chord(k, 5.0 / k).any()
    assert not below_chord(k, k**-0.5).any()
    assert not below_chord(k, np.array([9.0, *np.full(16, 8.9), 1.0])).any()  # above the chord
    assert not below_chord(k, 1.0 + k).any()
    assert not below_chord(k, np.zeros(18)).any()
    assert not below_chord(k[:2], np.array([2.0, 1.0])).any()
    with pytest.raises(ClusterError, match="rise from 1 on"):
        below_chord(k[::-1], 5.0 / k)


def test_candidates_grow_by_one_and_then_by_a_factor():
    assert candidate_ks(2, 20, 1.25) == [2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 20]
    assert candidate_ks(3, 3, 1.1) == [3]
    with pytest.raises(ClusterError, match="from 5 to 4"):
        candidate_ks(5, 4, 1.1)


def test_a_sample_without_groups_has_the_covariance_of_the_images():
    x = groups(2, each=1000, dims=3)
    both = np.concatenate([x, x[:, :1] * 2], axis=1)
    watched = np.array([0, 5, 600, 1999])
    found = null_reference(x, both, watched, 0)
    assert found.reduced.mean(axis=0) == pytest.approx(0, abs=4 * x.std() / np.sqrt(len(x)))
    # The spread is equal up to chance; neither of the two groups is left.
    assert np.cov(found.reduced.T) == pytest.approx(np.cov(x.T), rel=0.15, abs=4)
    assert found.full[:, 3] == pytest.approx(2 * found.reduced[watched, 0], rel=1e-4, abs=1e-4)
    far = (x - x.mean(axis=0)) @ np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][0]
    near = found.reduced @ np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][0]
    assert (
        (np.abs(far) < far.std() / 4).mean() < 0.02 < 0.15 < (np.abs(near) < far.std() / 4).mean()
    )


def test_halves_that_find_the_same_clusters_agree_fully():
    x = np.array([[0.0], [1.0], [10.0], [11.0]] * 3, np.float32)

    def fit(half, seeds):
        assert len(half) == 6
        return Fit(np.array([[[0.5], [10.5]]], np.float32), np.zeros(1), np.zeros(1, np.int32))

    assert between_halves(ArrayRows(x), fit, [0, 1]).tolist() == [1, 1]


def test_halves_that_cut_across_each_other_agree_as_by_chance():
    x = np.array([[a, b] for a in (0.0, 9.0) for b in (0.0, 9.0)] * 25, np.float32)
    cuts = iter(np.array([[[0, 4], [9, 4]], [[4, 0], [4, 9]]], np.float32))

    def fit(half, seeds):
        return Fit(next(cuts)[None], np.zeros(1), np.zeros(1, np.int32))

    assert abs(between_halves(ArrayRows(x), fit, [0])[0]) < 0.02
    with pytest.raises(ClusterError, match="no two halves"):
        between_halves(ArrayRows(x[:1]), fit, [0])


@pytest.mark.parametrize("number", [3, 5])
def test_clear_groups_are_found_and_all_criteria_but_one_at_most_agree(number: int):
    x, k = groups(number), candidate_ks(2, 12, 1.2)
    found = measure(sample_of(x), k, [0, 1], SEARCH)
    plain = measure(null_reference(x, x, np.arange(len(x)), 0), k, [0, 1], SEARCH, coding=False)
    said = consensus(k, criteria(k, found, plain))
    assert said.k == number
    # Agreement between two seeds of so few images without groups leaps up and down.
    assert sum(pick == number for pick in said.picks.values()) >= len(CRITERIA) - 1
    assert said.low <= number <= said.high


def test_equal_seeds_give_equal_measures_and_the_order_of_candidates_has_no_say():
    x = sample_of(groups(4))
    one, other = measure(x, [3, 5], [0, 1], SEARCH), measure(x, [5, 3], [0, 1], SEARCH)
    for name in one:
        assert (one[name] == other[name][:, ::-1]).all(), name


def test_more_clusters_than_half_of_the_images_are_refused():
    with pytest.raises(ClusterError, match="half of the images are 5"):
        measure(sample_of(groups(2, each=5)), [2, 6], [0], SEARCH)


def test_a_seed_votes_for_its_highest_value_and_a_flat_one_not_at_all():
    values = np.array([[1, 3, 3, 0], [np.nan, 1, 2, np.nan], [5, 5, 5, 5], [np.nan] * 4])
    assert votes(np.array([2, 3, 4, 5]), values).tolist() == [3, 4]


def test_the_median_of_all_votes_is_recommended():
    at = np.eye(4)  # a seed for each of the candidates 2, 4, 8, 16
    said = consensus(
        [2, 4, 8, 16],
        {"low": at[[0, 0]], "good": at[[2, 2]], "other": at[[2, 3]], "flat": np.ones((2, 4))},
    )
    # Votes 2 2 8 8 8 16: of the two in the middle the higher.
    assert (said.k, said.low, said.high) == (8, 2, 16)
    assert said.picks == {"low": 2, "good": 8, "other": 16, "flat": None}
    assert said.agree == ["good"]


def test_nothing_is_recommended_when_nobody_votes():
    with pytest.raises(ClusterError, match="all alike"):
        consensus([2, 3], {"flat": np.ones((3, 2))})


@pytest.mark.parametrize("shape", [abs, lambda k: k**2, lambda k: k if k > 0 else -20 * k])
@pytest.mark.parametrize(("low", "high"), [(5, 100), (2, 12), (1, 1), (3, 4), (7, 9), (10, 700)])
def test_the_search_finds_the_top_of_one_hill_and_never_asks_twice(
    shape: Callable[[int], float], low: int, high: int
):
    for peak in {low, high, (low + high) // 2, low + (high - low) // 7, high - 1, low + 1}:
        asked: list[int] = []

        def value(k: int, peak: int = peak, asked: list[int] = asked) -> float:
            asked.append(k)
            return -float(shape(k - peak))

        if low <= peak <= high:
            found = maximize(value, low, high, {})
            assert found.best == peak
            assert len(set(asked)) == len(asked) == len(found.tried)
            assert len(asked) <= 30
            assert set(asked) <= set(range(low, high + 1))


def test_the_search_goes_on_from_what_was_tried():
    first = maximize(lambda k: -abs(k - 23), 5, 100, {})
    some = dict(list(first.tried.items())[:4])
    asked = []

    def value(k: int) -> float:
        asked.append(k)
        return -float(abs(k - 23))

    assert maximize(value, 5, 100, some) == first
    assert sorted(asked) == sorted(first.tried.keys() - some.keys())


def test_of_equal_values_the_lowest_k_that_was_asked_is_best_and_no_range_is_refused():
    found = maximize(lambda k: 1.0, 2, 30, {})
    assert found.best == min(found.tried)
    with pytest.raises(ClusterError, match="no integer lies in 5 to 4"):
        maximize(lambda k: 1.0, 5, 4, {})
