"""Which groups look alike."""

import numpy as np
import pytest
from suggested import blobs, space_of

from cluster.block_model.information import edge_information
from cluster.errors import ClusterError
from cluster.suggest.merges import propose_merges


def halved() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three groups, the first of them cut at random in two (0 and 3)."""
    x, group = blobs(each=24)
    own = np.where((group == 0) & (np.random.default_rng(2).random(len(x)) < 0.5), 3, group)
    return x, group, own


def test_the_halves_of_a_group_come_first():
    x, _, own = halved()
    space = space_of(x)
    found = propose_merges(space.graph, space.unit, own)
    assert (found.one[0], found.other[0]) == (0, 3)
    assert found.ratio[0] > 2
    assert found.cosine[0] > 0.9


def test_the_score_is_what_the_merge_loses_of_the_edge_information():
    x, _, own = halved()
    space = space_of(x)
    found = propose_merges(space.graph, space.unit, own, least=0)
    whole = edge_information(space.graph, own, 4)
    ends = np.bincount(own, weights=space.graph.sum(axis=1))
    ends /= ends.sum()
    for one, other, score in zip(found.one, found.other, found.score, strict=True):
        merged = np.where(own == other, one, own)
        loss = whole - edge_information(space.graph, merged, 4)
        assert score == pytest.approx(-loss / np.sqrt(ends[one] * ends[other]))


def test_the_ratio_is_edges_over_chance():
    x, _, own = halved()
    space = space_of(x)
    found = propose_merges(space.graph, space.unit, own, least=0)
    dense = space.graph.toarray()
    between = dense[np.ix_(own == 0, own == 3)].sum() / dense.sum()
    ends = [dense[own == each].sum() / dense.sum() for each in (0, 3)]
    assert found.ratio[0] == pytest.approx(between / (ends[0] * ends[1]))


def test_two_names_are_never_merged():
    x, _, own = halved()
    space = space_of(x)
    found = propose_merges(space.graph, space.unit, own, np.array([7, -1, -1, 8]), least=0)
    assert (0, 3) not in zip(found.one, found.other, strict=True)
    one_named = propose_merges(space.graph, space.unit, own, np.array([7, -1, -1, -1]))
    assert (one_named.one[0], one_named.other[0]) == (0, 3)


def test_the_order_of_the_images_changes_nothing():
    x, _, own = halved()
    order = np.random.default_rng(1).permutation(len(x))
    one, other = space_of(x), space_of(x[order])
    found = propose_merges(one.graph, x, own, least=0)
    same = propose_merges(other.graph, x[order], own[order], least=0)
    assert found.one.tolist() == same.one.tolist()
    assert np.allclose(found.score, same.score)


def test_groups_may_have_gaps_and_images_may_be_in_none():
    x, _, own = halved()
    space = space_of(x)
    gaps = np.where(own == 3, 90, own * 10)
    gaps[own == 2] = -1
    found = propose_merges(space.graph, space.unit, gaps)
    assert (found.one[0], found.other[0]) == (0, 90)
    assert 20 not in found.other


def test_odd_input():
    x, group = blobs()
    space = space_of(x)
    for nothing in (np.zeros(len(x), np.int64), np.full(len(x), -1)):
        assert len(propose_merges(space.graph, space.unit, nothing).one) == 0
    with pytest.raises(ClusterError, match="expected the same images"):
        propose_merges(space.graph, space.unit, group[1:])
