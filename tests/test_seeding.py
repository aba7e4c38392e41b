"""k-means++: rows drawn by their squared distance."""

import numpy as np
import torch

from cluster.rows import ArrayRows
from cluster.seeding import kmeans_plus_plus, start_centroids


def test_starts_are_different_rows():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 3)))
    chosen = kmeans_plus_plus(x, 40, [(0, 0), (0, 1)])
    assert all(len(set(run.tolist())) == 40 for run in chosen)


def test_far_rows_are_found_first():
    """Three tight groups: three starts hit all three, in nearly every run."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 2)) * 0.01 + np.repeat([[0, 0], [50, 0], [0, 50]], 30, axis=0)
    chosen = kmeans_plus_plus(torch.from_numpy(x), 3, [(seed, 0) for seed in range(50)])
    hit = [len(set((run // 30).tolist())) == 3 for run in chosen]
    assert np.mean(hit) > 0.95


def test_draws_are_proportional_to_the_squared_distance():
    """From 0, the rows at 1 and 3 stand 1 : 9. Of the 2 candidates of a step the better is kept:
    the row at 3 loses only if both are the other, 1 in 100."""
    x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    chosen = kmeans_plus_plus(x, 2, [(seed, 0) for seed in range(4000)])
    second = chosen[chosen[:, 0] == 0, 1]
    assert 0.002 < (second == 1).double().mean() < 0.02


def test_a_run_draws_the_same_beside_any_others():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 3)))
    both = kmeans_plus_plus(x, 5, [(0, 0), (4, 2)])
    assert kmeans_plus_plus(x, 5, [(4, 2)])[0].tolist() == both[1].tolist()


def test_a_sample_is_drawn_from_many_rows():
    rows = ArrayRows(np.random.default_rng(0).normal(size=(500, 3)))
    one = start_centroids(rows, 4, [(0, 0), (1, 0)], False, 50, "cpu")
    two = start_centroids(rows, 4, [(1, 0)], False, 50, "cpu")
    assert one.shape == (2, 4, 3)
    np.testing.assert_array_equal(one[1], two[0])
