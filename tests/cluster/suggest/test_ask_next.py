"""Which pictures to ask next."""

import numpy as np
import pytest
from suggested import blobs, space_of

from cluster.errors import ClusterError
from cluster.suggest.ask_next import ask_next


def chain(weights: list[float]) -> object:
    """A path of images with these weights."""
    from scipy.sparse import csr_array

    n = len(weights) + 1
    dense = np.zeros((n, n))
    for at, weight in enumerate(weights):
        dense[at, at + 1] = dense[at + 1, at] = weight
    return csr_array(dense)


def test_the_uncertain_one_among_uncertain_ones_is_first_and_its_neighbour_waits():
    graph = chain([1.0, 1.0, 0.0, 0.0])
    margin = np.array([0.5, 0.5, 0.5, 0.5, 1.0])  # the last one is sure
    # values: 0.5 x (0.5 + 0.5), 0.5 x (0.5 + 1), 0.5 x (0.5 + 0.5), 0.5 x 0.5, 0
    found = ask_next(graph, margin, np.ones(5, bool), 3, 0)
    assert found[:2].tolist() == [1, 3]  # 0 and 2 keep a tenth of their 0.5


def test_decided_images_are_not_asked():
    x, _ = blobs()
    open_to_ask = np.arange(len(x)) % 2 == 0
    found = ask_next(space_of(x).graph, np.full(60, 0.2), open_to_ask, 99, 0)
    assert sorted(found) == np.flatnonzero(open_to_ask).tolist()


def test_a_batch_is_spread_over_the_groups():
    x, group = blobs()
    found = ask_next(space_of(x).graph, np.full(60, 0.2), np.ones(60, bool), 6, 0)
    assert set(group[found]) == {0, 1, 2}


def test_the_seed_only_breaks_ties():
    x, _ = blobs(noise=0.5)
    graph, margin = space_of(x).graph, np.random.default_rng(0).random(60)
    everyone = np.ones(60, bool)
    one, other = (ask_next(graph, margin, everyone, 5, seed) for seed in (0, 1))
    assert one.tolist() == other.tolist()
    same = ask_next(chain([0.0, 0.0]), np.zeros(3), np.ones(3, bool), 3, 5)
    assert sorted(same) == [0, 1, 2]
    assert same.tolist() == ask_next(chain([0.0] * 2), np.zeros(3), np.ones(3, bool), 3, 5).tolist()


def test_odd_input():
    graph = chain([1.0])
    assert len(ask_next(graph, np.zeros(2), np.zeros(2, bool), 5, 0)) == 0
    assert len(ask_next(graph, np.zeros(2), np.ones(2, bool), 0, 0)) == 0
    assert len(ask_next(graph, np.ones(2), np.ones(2, bool), 2, 0)) == 2  # all are sure
    with pytest.raises(ClusterError, match="the graph has 2 images"):
        ask_next(graph, np.zeros(3), np.ones(3, bool), 1, 0)
