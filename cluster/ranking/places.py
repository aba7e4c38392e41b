"""Places by several criteria, and how far these agree.

Spearman's rank correlation of two criteria, and of all of them Kendall's coefficient of concordance
W (Kendall and Babington Smith 1939), with the correction for ties: 1 where all criteria give the
same order, 0 where they have nothing in common.
"""

from collections.abc import Mapping

import numpy as np


def places(values: np.ndarray) -> np.ndarray:
    """The place of each value, the highest is 1: float64 [candidate]. Equal ones share the mean of
    their places; what has no value (nan) is in the middle."""
    out = np.full(len(values), (len(values) + 1) / 2)
    known = np.flatnonzero(np.isfinite(values))
    _, which, times = np.unique(-values[known], return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    share = (last - (times - 1) / 2)[which]
    # With some in the middle, places among the others spread over the whole
    out[known] = (share - 0.5) * len(values) / max(1, len(known)) + 0.5
    return out


def mean_place(criteria: Mapping[str, np.ndarray]) -> np.ndarray:
    """The mean place of each candidate over the criteria, float64 [candidate]; those that know
    nothing (all nan) do not count."""
    known = [places(own) for own in criteria.values() if np.isfinite(own).any()]
    return np.mean(known, axis=0) if known else np.zeros(len(next(iter(criteria.values()))))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The rank correlation, of the candidates that have both values; nan where one is constant, or
    there are fewer than two."""
    known = np.isfinite(one) & np.isfinite(other)
    ranks = [places(own[known]) for own in (one, other)]
    if known.sum() < 2 or not all(np.ptp(own) for own in ranks):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def concordance(criteria: Mapping[str, np.ndarray]) -> float:
    """Kendall's W of the criteria that have a value for each candidate; nan of fewer than two
    criteria or candidates, or where none tells candidates apart."""
    ranks = [places(own) for own in criteria.values() if np.isfinite(own).all()]
    if len(ranks) < 2 or len(ranks[0]) < 2:
        return float("nan")
    m, n = len(ranks), len(ranks[0])
    sums = np.sum(ranks, axis=0)
    ties = 0.0
    for own in ranks:
        times = np.unique(own, return_counts=True)[1].astype(np.float64)
        ties += float((times**3 - times).sum())
    most = m**2 * (float(n) ** 3 - n) - m * ties
    return float(12 * ((sums - sums.mean()) ** 2).sum() / most) if most > 0 else float("nan")
