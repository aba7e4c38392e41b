"""Settings fitted by dims: in order, vectors cached once for all k, released before the next."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from cluster.vectors.rows import ArrayRows, Rows
from pipeline.fitting.by_dims import fit_by_dims

SETTINGS = [(10, 8), (20, 8), (10, 0)]


class Space:
    """Counts the vectors that are cached, and those still alive."""

    def __init__(self) -> None:
        self.fits: list[tuple[int, float]] = []
        self.alive: list[weakref.ref[ArrayRows]] = []

    def fitted(self, dims: int, memory_gb: float) -> Rows:
        assert not any(one() for one in self.alive), "two copies at once"
        rows = ArrayRows(np.zeros((3, dims or 64), np.float32))
        self.fits.append((dims, memory_gb))
        self.alive.append(weakref.ref(rows))
        return rows

    def rows(self, dims: int) -> Rows:
        return ArrayRows(np.zeros((5, dims or 64), np.float32))


@pytest.mark.parametrize("lazy", [False, True])
def test_each_setting_is_fitted_in_order_and_vectors_are_cached_once_a_dims(lazy: bool):
    def fit(dims: int, ks: list[int], fitted: Rows, rows: Rows) -> Iterator[tuple[int, ...]]:
        return ((k, dims, len(fitted), fitted.dim, len(rows)) for k in ks)

    space = Space()
    chosen = fit if lazy else lambda *of: list(fit(*of))
    found = fit_by_dims(space, SETTINGS, 0.5, chosen)  # type: ignore[arg-type]
    assert found == [(10, 8, 3, 8, 5), (20, 8, 3, 8, 5), (10, 0, 3, 64, 5)]
    assert space.fits == [(8, 0.5), (0, 0.5)]
    assert not any(one() for one in space.alive)
