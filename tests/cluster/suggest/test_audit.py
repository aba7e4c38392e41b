"""How many labels are right, by a sample."""

import numpy as np
import pytest

from cluster.errors import ClusterError
from cluster.suggest.audit import (
    audit,
    audit_sample,
    with_decided,
)


def test_the_interval_is_wilsons():
    found = audit(8, 10, 10**9)
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943318), abs=1e-5)


def test_it_equals_scipys_where_the_collection_is_large():
    from scipy.stats import binomtest

    for right, judged in ((0, 5), (100, 100), (90, 100), (3, 7)):
        theirs = binomtest(right, judged).proportion_ci(0.9, method="wilson")
        found = audit(right, judged, 10**12, 0.9)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_who_has_judged_all_images_knows():
    assert audit(90, 100, 100)[:3] == (0.9, 0.9, 0.9)
    narrow, wide = audit(90, 100, 110), audit(90, 100, 10**6)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    right = generator.random(400) < 0.93
    covered = 0
    for seed in range(400):
        sample = audit_sample(np.arange(400), 60, seed)
        found = audit(int(right[sample].sum()), 60, 400)
        covered += found.low <= right.mean() <= found.high
    assert 0.92 < covered / 400 <= 1


def test_the_sample_is_drawn_from_the_candidates_by_the_seed():
    candidate = np.array([3, 5, 8, 13, 21])
    sample = audit_sample(candidate, 3, 0)
    assert set(sample) < set(candidate)
    assert len(set(sample)) == 3
    assert (sample == audit_sample(candidate[::-1], 3, 0)).all()
    assert sorted(audit_sample(candidate, 9, 1)) == candidate.tolist()
    assert len(audit_sample(candidate[:0], 9, 1)) == 0


def test_decided_images_count_as_right():
    found = with_decided(audit(9, 10, 50), 50)
    assert found.right == pytest.approx(0.95)
    assert found.images == 100
    assert with_decided(audit(0, 0, 0), 7)[:3] == (1, 1, 1)


def test_odd_input():
    nobody = audit(0, 0, 5)
    assert (nobody.low, nobody.high) == (0, 1)
    assert np.isnan(nobody.right)
    with pytest.raises(ClusterError, match="4 of 3 judged images are right"):
        audit(4, 3, 9)
    with pytest.raises(ClusterError, match="the confidence is 1"):
        audit(1, 3, 9, 1.0)
