"""How much the lengths of vectors vary, and which part of their variance that is."""

import numpy as np
import pytest

from cluster.vectors.lengths import Lengths, Measured
from cluster.vectors.pca import fit_pca
from cluster.vectors.rows import TILE, ArrayRows


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_they_are_numpys(offset: float):
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32) + np.float32(offset)
    length = np.linalg.norm(x.astype(np.float64), axis=1)
    found = measure_lengths(ArrayRows(x), tile=7)
    assert found.variation == pytest.approx(length.std() / length.mean(), rel=1e-6)
    assert found.share == pytest.approx(length.var() / x.astype(float).var(0).sum(), rel=1e-6)


def measure_lengths(rows: ArrayRows, tile: int = TILE) -> Lengths:
    found = Measured(rows)
    for start in range(0, len(rows), tile):
        found.block(start, min(start + tile, len(rows)))
    return found.lengths()


def test_on_a_line_they_are_all_of_it_and_at_unit_length_nothing():
    x = np.linspace(1, 3, 50, dtype=np.float32)[:, None] * np.array([[0.6, 0.8]], np.float32)
    assert measure_lengths(ArrayRows(x)).share == pytest.approx(1, abs=1e-6)
    unit = np.random.default_rng(0).normal(size=(50, 4))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    assert measure_lengths(ArrayRows(unit)).share < 1e-9


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_equal_vectors_have_neither(value: float):
    assert measure_lengths(ArrayRows(np.full((9, 4), value))) == (0.0, 0.0)


@pytest.mark.parametrize("n", [7, TILE + 9])
def test_they_are_measured_while_components_are_fitted(n: int):
    rows = ArrayRows(np.random.default_rng(0).normal(size=(n, 12)).astype(np.float32))
    read = Measured(rows)
    basis = fit_pca(read, normalize=True, whiten=False)
    assert read.lengths() == measure_lengths(rows)
    assert np.array_equal(basis.components, fit_pca(rows, normalize=True, whiten=False).components)
