"""Edge scores, agreement and places: by hand, beside other libraries, and odd input."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array
from sklearn import metrics

from cluster.ranking.agreement import agreement, stabilities
from cluster.ranking.edge_scores import edge_scores, modularity
from cluster.ranking.places import concordance, mean_place, places, spearman

PATH = csr_array(np.diag([1.0, 1, 1], 1) + np.diag([1.0, 1, 1], -1))  # 0-1-2-3


def test_a_path_cut_in_the_middle_by_hand():
    found = edge_scores(PATH, np.array([0, 0, 7, 7]), 9, 4)
    assert found.information == pytest.approx(2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3))
    assert found.modularity == pytest.approx(4 / 6 - 2 / 4)
    assert 0 <= found.information_far < found.information


def test_modularity_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    w, own = rng.random((30, 30)), rng.integers(0, 4, 30)
    w += w.T
    degree, total = w.sum(axis=1), w.sum()
    same = own[:, None] == own
    expected = ((w - np.outer(degree, degree) / total) * same).sum() / total
    assert edge_scores(csr_array(w), own, 4, 2).modularity == pytest.approx(expected)


def test_one_cluster_and_a_graph_without_edges_score_nothing():
    np.testing.assert_allclose(edge_scores(PATH, np.zeros(4, int), 1, 4), 0, atol=1e-12)
    np.testing.assert_allclose(edge_scores(csr_array((4, 4)), np.arange(4), 4, 4), 0)
    assert modularity(np.zeros((3, 3))) == 0


def test_agreement_is_the_mean_nmi_with_those_of_other_settings():
    rng = np.random.default_rng(0)
    own, k = rng.integers(0, 5, (4, 60)), np.full(4, 5)
    nmi = metrics.normalized_mutual_info_score
    found = agreement(own, k, np.array([0, 0, 1, 2]))
    assert found[0] == pytest.approx((nmi(own[0], own[2]) + nmi(own[0], own[3])) / 2)
    assert found[3] == pytest.approx(np.mean([nmi(own[3], other) for other in own[:3]]))
    name = rng.permutation(5)
    np.testing.assert_allclose(agreement(name[own], k, np.array([0, 0, 1, 2])), found)


def test_where_nothing_else_is_there_no_agreement_is_known():
    own = np.zeros((2, 6), int)
    assert np.isnan(agreement(own, np.ones(2, int), np.zeros(2, int))).all()
    assert np.isnan(agreement(own[:, :0], np.ones(2, int), np.arange(2))).all()
    np.testing.assert_array_equal(stabilities(own, np.zeros(2, int)), 1)
    assert np.isnan(stabilities(own, np.arange(2))).all()


def test_places_by_hand():
    np.testing.assert_array_equal(places(np.array([0.3, 0.9, 0.3, 0.1])), [2.5, 1, 2.5, 4])
    np.testing.assert_array_equal(places(np.array([2.0, np.nan, 1.0])), [1.25, 2, 2.75])
    np.testing.assert_array_equal(places(np.full(3, np.nan)), 2)
    both = {"one": np.array([3.0, 2, 1]), "other": np.array([1.0, 3, 2])}
    np.testing.assert_array_equal(mean_place(both), [2, 1.5, 2.5])
    unknown = both | {"none": np.full(3, np.nan)}
    np.testing.assert_array_equal(mean_place(unknown), mean_place(both))


def test_rank_correlation_and_concordance_are_those_of_statistics():
    rng = np.random.default_rng(0)
    one, other, third = rng.integers(0, 6, (3, 20)).astype(float)
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    criteria = {"one": one, "other": other, "third": third}
    # W is the mean rank correlation of all pairs, scaled; with ties its denominator differs
    plain = {name: rng.permutation(20).astype(float) for name in criteria}
    pairs = [spearman(plain[a], plain[b]) for a, b in (("one", "other"), ("one", "third"),
                                                      ("other", "third"))]  # fmt: skip
    assert concordance(plain) == pytest.approx((1 + 2 * np.mean(pairs)) / 3)
    assert concordance({"a": one, "b": one, "c": 2 * one}) == pytest.approx(1)
    assert 0 <= concordance(criteria) <= 1


def test_what_cannot_be_compared_has_no_correlation():
    one, none = np.arange(3.0), np.full(3, np.nan)
    assert np.isnan(spearman(one, none))
    assert np.isnan(spearman(one, np.ones(3)))
    assert np.isnan(concordance({"one": one}))
    assert np.isnan(concordance({"one": one[:1], "other": one[:1]}))
    assert np.isnan(concordance({"one": np.ones(3), "other": np.ones(3)}))
