"""Fit every setting (k, dims) of a method, caching the vectors of a projection once for all k."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

from cluster.vectors.rows import Rows
from pipeline.io.space import Space

Fit = TypeVar("Fit")


def fit_by_dims(
    space: Space,
    settings: Sequence[tuple[int, int]],
    memory_gb: float,
    fit: Callable[[int, list[int], Rows, Rows], Iterable[Fit]],
) -> list[Fit]:
    """The results of `fit(dims, ks, fitted, rows)`, one for each k, of all settings in order.

    settings: (k, dims), those of equal dims side by side; fitted: the vectors of `train`, in RAM if
    they take at most `memory_gb`; rows: those of all images. The vectors of one dims are released
    before those of the next are read, so `fit` must not keep them; it may be a generator.
    """
    out = list[Fit]()
    for dims, group in groupby(settings, itemgetter(1)):
        fitted = space.fitted(dims, memory_gb)
        out += fit(dims, [k for k, _ in group], fitted, space.rows(dims))
        del fitted  # two copies would not fit
    return out
