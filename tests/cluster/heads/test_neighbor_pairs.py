"""Pairs of neighbours: which pairs are drawn, how often, and reproducible steps."""

import numpy as np
import pytest

from cluster import ClusterError
from cluster.heads.neighbor_pairs import Pairs

N, K = 23, 5


def ring(n: int = N, k: int = K) -> np.ndarray:
    """Image i has the neighbours i + 1, ..., i + k."""
    return ((np.arange(n)[:, None] + np.arange(1, k + 1)) % n).astype(np.int32)


def steps(pairs: Pairs, number: int) -> np.ndarray:
    """The first steps side by side, int64 [2, image]."""
    return np.concatenate([pairs.at(step) for step in range(number)], axis=1)


def test_a_pair_is_an_image_and_one_of_its_neighbours():
    image, partner = steps(Pairs(ring(), 8, 0), 50)
    assert (image != partner).all()
    assert ((partner - image) % N <= K).all()


def test_every_image_comes_once_a_pass_and_batches_straddle_passes():
    image, _ = steps(Pairs(ring(), 8, 0), N)  # 8 passes of 23 images in 23 batches of 8
    passes = image.reshape(8, N)
    assert (np.sort(passes, axis=1) == np.arange(N)).all()
    assert len({tuple(each) for each in passes.tolist()}) == 8


def test_every_neighbour_is_drawn_about_as_often():
    image, partner = steps(Pairs(ring(), N, 0), 2000)
    count = np.bincount((partner - image) % N, minlength=K + 1)
    assert count[0] == 0
    assert count[1:] == pytest.approx(2000 * N / K, rel=0.05)


def test_a_step_is_the_same_whatever_was_asked_before():
    in_order = [Pairs(ring(), 8, 3).at(step) for step in range(12)]
    asked = Pairs(ring(), 8, 3)
    for step in (11, 0, 5, 6, 2, 11):
        np.testing.assert_array_equal(asked.at(step), in_order[step])


def test_another_seed_draws_other_pairs():
    assert (Pairs(ring(), 8, 0).at(0) != Pairs(ring(), 8, 1).at(0)).any()


def test_a_batch_is_never_larger_than_the_images():
    pairs = Pairs(ring(), 1000, 0)
    assert pairs.batch == N
    assert (np.sort(pairs.at(4)[0]) == np.arange(N)).all()


def test_images_that_are_held_out_occur_nowhere():
    held = np.arange(N) % 3 == 1
    pairs = Pairs(ring(), 7, 0, held)
    drawn = steps(pairs, 60)
    assert len(pairs) == (~held).sum()
    assert not held[drawn].any()
    assert set(drawn[0]) == set(np.flatnonzero(~held))
    assert (((drawn[1] - drawn[0]) % N)[drawn[0] < N - K] <= K).all()


def test_an_image_whose_neighbours_are_all_held_out_is_not_drawn():
    held = np.isin(np.arange(N), [4, 5])
    assert 3 not in steps(Pairs(ring(k=2), 5, 0, held), 30)[0]


def test_holding_out_everything_is_refused():
    with pytest.raises(ClusterError, match="no image has a neighbour that is not held out"):
        Pairs(ring(), 8, 0, np.arange(N) > 0)


def test_a_table_in_which_an_image_is_its_own_neighbour_is_refused():
    """TEMI's own neighbour search had each image of the later chunks as its nearest (T1)."""
    table = ring()
    table[7, 2], table[9, 0] = 7, 9
    with pytest.raises(ClusterError, match="2 images are their own neighbour, the first is 7"):
        Pairs(table, 8, 0)


@pytest.mark.parametrize("beyond", [-1, N])
def test_a_table_of_other_images_is_refused(beyond: int):
    table = ring()
    table[3, 1] = beyond
    with pytest.raises(ClusterError, match="does not fit 23 images"):
        Pairs(table, 8, 0)


@pytest.mark.parametrize("shape", [(0, 5), (N, 0)])
def test_a_table_of_nothing_is_refused(shape: tuple[int, int]):
    with pytest.raises(ClusterError, match="does not fit"):
        Pairs(np.zeros(shape, np.int32), 8, 0)
