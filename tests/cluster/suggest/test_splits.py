"""Which groups fall apart."""

import numpy as np
import pytest
from suggested import blobs, space_of

from cluster.errors import ClusterError
from cluster.suggest.splits import crossing, propose_splits, split_in_two


def test_two_heaps_in_one_group_are_found_and_one_heap_is_not():
    x, group = blobs(each=30)
    space = space_of(x)
    joined = np.minimum(group, 1)  # 1 and 2 are one group
    found = propose_splits(space.graph, space.unit, joined)
    assert found.group.tolist() == [1]
    assert found.stability[0] == pytest.approx(1)
    assert found.crossing[0] < 0.1
    member = np.flatnonzero(joined == 1)
    half = split_in_two(space.unit, member, 0).half
    assert len(set(zip(half.tolist(), group[member].tolist(), strict=True))) == 2


def test_crossing_is_edges_over_chance():
    x, group = blobs(groups=2, noise=0.8)
    graph = space_of(x).graph
    dense = graph.toarray()
    ends = [dense[group == each].sum() / dense.sum() for each in (0, 1)]
    across = dense[np.ix_(group == 0, group == 1)].sum() / dense.sum()
    assert crossing(graph, group) == pytest.approx(across / (ends[0] * ends[1]))


def test_different_labels_inside_come_first_and_begin_the_halves():
    x, group = blobs(each=30)
    space = space_of(x)
    joined = np.minimum(group, 1)
    decided = np.full(len(x), -1)
    heap = np.flatnonzero(group == 0)
    decided[heap[:4]], decided[heap[4:7]] = 5, 6
    found = propose_splits(space.graph, space.unit, joined, decided)
    assert found.group.tolist() == [0, 1]
    assert found.differ.tolist() == [True, False]
    decided = np.full(len(x), -1)
    for label in (1, 2):
        decided[np.flatnonzero(group == label)[:2]] = label
    member = np.flatnonzero(joined == 1)
    halves = split_in_two(space.unit, member, 0, decided)
    assert len(set(zip(halves.half.tolist(), group[member].tolist(), strict=True))) == 2


def test_the_larger_half_is_the_first_and_a_seed_gives_the_same_halves():
    x, _ = blobs(groups=2, each=10)
    x = np.concatenate([x, x[:3] + 0.01])
    member = np.arange(len(x))
    one, other = split_in_two(x, member, 3), split_in_two(x, member, 3)
    assert (one.half == other.half).all()
    assert (one.half == 0).sum() >= (one.half == 1).sum()


def test_odd_groups():
    x, _ = blobs(groups=1, each=12)
    space = space_of(x)
    few = np.repeat([0, 1], [7, 5])
    assert len(propose_splits(space.graph, space.unit, few).group) == 0
    same = np.ones((12, 3), np.float32)
    assert len(propose_splits(space.graph, same, np.zeros(12, np.int64)).group) <= 1
    assert len(propose_splits(space.graph, space.unit, np.full(12, -1)).group) == 0
    with pytest.raises(ClusterError, match="has 1 images: two or more"):
        split_in_two(x, np.array([3]), 0)
    with pytest.raises(ClusterError, match="expected the same images"):
        propose_splits(space.graph, space.unit, few[1:])
