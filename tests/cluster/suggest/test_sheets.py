"""Sheets of pictures to verify."""

import numpy as np
import pytest
from suggested import blobs

from cluster.errors import ClusterError
from cluster.suggest.sheets import propose_sheets, side_by_side


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_a_sheet_has_the_most_doubtful_of_one_label():
    x, _ = blobs(groups=2, each=10)
    p = np.full((20, 2), [0.9, 0.1])
    p[:5] = [0.2, 0.8]
    p[5:9] = [0.6, 0.4]
    first, second = propose_sheets(unit(x), p, np.ones(20, bool), size=4, most=9)
    assert first.label == 0
    assert sorted(first.rows) == [5, 6, 7, 8]
    assert first.probability.tolist() == pytest.approx([0.6] * 4)
    assert (first.second == 1).all()
    assert second.label == 1
    # 4 x 0.4 are wrong; one acceptance, one move and 4 x 0.6 x 0.4 selections
    assert first.value == pytest.approx(1.6 / (1 + 1 + 0.96))
    assert first.value > second.value


def test_those_of_one_other_label_lie_side_by_side():
    x, group = blobs(groups=3, each=12, noise=0.1)
    order = side_by_side(unit(x), np.full((36, 3), 1 / 3))
    assert (np.diff(group[order]) != 0).sum() == 2
    assert sorted(order) == list(range(36))


def test_decided_images_are_on_no_sheet():
    x, _ = blobs()
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=60)
    undecided = np.arange(60) >= 30
    sheets = propose_sheets(unit(x), p, undecided, size=100, most=3)
    shown = np.concatenate([sheet.rows for sheet in sheets])
    assert sorted(shown) == list(range(30, 60))
    for sheet in sheets:
        assert (p[sheet.rows].argmax(axis=1) == sheet.label).all()


def test_the_order_of_the_images_changes_nothing():
    x, _ = blobs(noise=0.5)
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=60)
    order = np.random.default_rng(1).permutation(60)
    one = propose_sheets(unit(x), p, np.ones(60, bool), size=8)[0]
    other = propose_sheets(unit(x)[order], p[order], np.ones(60, bool), size=8)[0]
    assert one.label == other.label
    assert set(one.rows) == set(order[other.rows])


def test_odd_sheets():
    x, _ = blobs()
    p = np.ones((60, 1))
    assert propose_sheets(unit(x), p, np.zeros(60, bool), size=5) == []
    only = propose_sheets(unit(x), p, np.ones(60, bool), size=100)[0]
    assert len(only.rows) == 60
    assert (only.second == -1).all()
    assert side_by_side(unit(x)[:2], p[:2]).tolist() == [0, 1]
    with pytest.raises(ClusterError, match="a sheet of 0 images"):
        propose_sheets(unit(x), p, np.ones(60, bool), size=0)
    with pytest.raises(ClusterError, match="expected the same images"):
        propose_sheets(unit(x), p[1:], np.ones(60, bool), size=5)
