"""Rows: views of vectors that may not fit in memory."""

import numpy as np
import pytest

from cluster.rows import ArrayRows, Basis, Reduced, Subset, cached


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.mark.parametrize("index", [np.arange(10, 30), np.arange(1, 50, 3)])
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
