"""Mean and standard deviation over seeds."""

from collections.abc import Sequence

import numpy as np


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation (divided by n - 1) of the values that are known.

    A single value has no deviation: nan, never 0. Without values both are nan.
    """
    known = np.array([value for value in values if np.isfinite(value)], np.float64)
    if not len(known):
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan")
