"""Values as counts in bins: what is left of millions of them on a page."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

BINS = 60


class Binned(NamedTuple):
    """counts: int64 [bin]; edges: float64 [bin + 1]; median: of the values themselves."""

    counts: np.ndarray
    edges: np.ndarray
    median: float


def binned(series: Mapping[str, np.ndarray]) -> dict[str, Binned]:
    """Each series (float [value]) in the bins that all have in common, from the lowest value of all
    to the highest."""
    every = [values.astype(np.float64) for values in series.values()]
    low, high = min(float(v.min()) for v in every), max(float(v.max()) for v in every)
    if high - low < 1e-3:  # a step where all is one value
        low, high = low - 5e-4, high + 5e-4
    out = {}
    for (label, values), wide in zip(series.items(), every, strict=True):
        counts, edges = np.histogram(wide, BINS, (low, high))
        out[label] = Binned(counts.astype(np.int64), edges, float(np.median(values)))
    return out
