"""k-means++: rows drawn by their squared distance."""

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.kmeans.init import kmeans_plus_plus, start_centroids
from cluster.vectors.rows import ArrayRows


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


def test_copies_are_drawn_only_when_nothing_else_is_left():
    """Two rows that are alike have no distance: 5 starts are all 5 different vectors."""
    x = np.random.default_rng(0).normal(size=(5, 3)).repeat(20, axis=0).astype(np.float32)
    for seed in range(20):
        five = start_centroids(ArrayRows(x), 5, [(seed, 0)], False, 1000, "cpu")[0]
        assert len(np.unique(five, axis=0)) == 5
    assert start_centroids(ArrayRows(x), 9, [(0, 0)], False, 1000, "cpu").shape == (1, 9, 3)


def test_first_rows_are_drawn_evenly():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 2)))
    first = kmeans_plus_plus(x, 1, [(seed, 0) for seed in range(4000)])[:, 0]
    assert (torch.bincount(first, minlength=4) - 1000).abs().max() < 120  # 4 sigma


@pytest.mark.parametrize("device", DEVICES)
def test_starts_are_rows_and_of_length_1_for_the_cosine_metric(device: str):
    x = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    runs = [(0, 0), (0, 1), (3, 0)]
    starts = start_centroids(ArrayRows(x), 4, runs, False, 1000, device)
    assert starts.dtype == np.float32
    assert all((x == start).all(axis=1).any() for start in starts.reshape(-1, 6))
    unit = start_centroids(ArrayRows(x), 4, runs, True, 1000, device)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=2), 1, rtol=1e-6)


def test_far_from_the_origin_the_same_rows_are_drawn():
    x = np.random.default_rng(0).integers(-50, 50, size=(100, 6))
    near, far = (
        start_centroids(ArrayRows(x + away), 9, [(0, 0)], False, 1000, "cpu") - away
        for away in (0, 2**16)
    )
    np.testing.assert_array_equal(near, far)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_gpu_draws_what_the_cpu_draws():
    rows = ArrayRows(np.random.default_rng(0).normal(size=(3000, 20)))
    cpu, gpu = (
        start_centroids(rows, 50, [(0, 0), (1, 0)], False, 1000, device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(cpu, gpu)
