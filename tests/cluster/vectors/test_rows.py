"""Rows: views of vectors that may not fit in memory."""

import numpy as np
import pytest

from cluster.vectors.rows import ArrayRows, Basis, Reduced, Subset, cached


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.mark.parametrize(
    "index",
    [np.arange(10, 30), np.arange(1, 50, 3), np.r_[0:4, 5, 4, 6:20]],
    ids=["run", "steps", "mixed"],
)
def test_a_subset_is_the_array_indexed(array: np.ndarray, index: np.ndarray):
    rows = Subset(ArrayRows(array), index)
    assert len(rows) == len(index)
    np.testing.assert_array_equal(rows.block(2, 9), array[index][2:9])
    np.testing.assert_array_equal(rows.take(np.array([5, 0])), array[index][[5, 0]])


def test_a_cache_holds_the_same_if_it_fits(array: np.ndarray):
    basis = Basis(array.mean(0).astype(np.float64), np.eye(4), np.ones(4), True, False)
    rows = Reduced(ArrayRows(array), basis, 2)
    kept = cached(rows, memory_gb=1.0)
    assert isinstance(kept, ArrayRows)
    np.testing.assert_array_equal(kept.block(0, 50), rows.block(0, 50))
    assert cached(rows, memory_gb=1e-9) is rows


@pytest.mark.parametrize("whiten", [False, True])
def test_a_projection_is_the_same_to_the_last_bit_in_any_block(whiten: bool):
    """Products of matrices of other sizes round otherwise; nobody may see that."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3000, 96)) + 5).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(96, 96)))[0]
    basis = Basis(x.mean(axis=0, dtype=np.float64), turn, np.arange(96, 0, -1.0), True, whiten)
    rows = Reduced(ArrayRows(x), basis, 24)
    whole = rows.block(0, 3000)
    for start, stop in ((0, 1), (5, 12), (100, 1001), (7, 2999)):
        np.testing.assert_array_equal(rows.block(start, stop), whole[start:stop])
    some = rng.permutation(3000)[:77]
    np.testing.assert_array_equal(rows.take(some), whole[some])


def test_whitening_does_not_blow_up_what_was_constant_in_the_fit():
    """Images that differ in it come later, and noise must not decide their cluster."""
    basis = Basis(np.zeros(3), np.eye(3), np.array([4.0, 1.0, 1e-14]), False, True)
    x = np.array([[2, 1, 0.01]], np.float32)
    assert basis.project(x, 3).tolist() == [[1, 1, 0]]


def test_far_from_zero_a_projection_keeps_its_digits():
    rng = np.random.default_rng(0)
    x = rng.integers(-50, 50, size=(100, 8)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    near, far = (
        Basis(np.full(8, away), turn, np.ones(8), False, False).project(x + np.float32(away), 4)
        for away in (0.0, 2.0**16)
    )
    np.testing.assert_allclose(near, far, atol=1e-5)


def test_an_array_is_not_copied_for_the_cache(array: np.ndarray):
    rows = ArrayRows(array)
    assert rows.array is array
    assert cached(rows, memory_gb=1.0) is rows
