"""Consensus of the criteria on the number of clusters: the median vote, and its uncertainty.

Each criterion (cluster.estimate_k.criteria) votes once per seed, for the k of its highest value,
and the median of all votes is recommended, so that one outlying criterion has little influence. The
rule was chosen on four datasets of ten classes (photographs, product pictures, digits by two
backbones), where it gives 6, 11, 8 and 10, and on well separated mixtures of 3, 10 and 30 groups in
50 or more images each, where it gives 3, 10 and 29. Of overlapping groups it finds about half. No
single criterion was within a third of all seven (on the photographs the silhouette gives 2, the
coding length 4); the maximum of the sum of the scaled curves gives 5 and 12 where the median gives
8 and 9. It tends to be too low: classes that look alike count as one group."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError

FLAT = 1e-9  # a curve that varies by less, relative to its values, has no maximum
NEAR = 1.25  # a criterion agrees when its own median is within this factor


class Consensus(NamedTuple):
    """k: the recommended number; low, high: the interval of four fifths of the votes; picks: the
    median vote of each criterion, None without a vote; agree: the criteria whose pick is within a
    factor of NEAR of k."""

    k: int
    low: int
    high: int
    picks: dict[str, int | None]
    agree: list[str]


def votes(k: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The votes of one criterion: the k (int [candidate]) of the highest value of each seed, of
    equal ones the lowest; sorted.

    values: float [seed, candidate], nan where there is none; a seed of equal values does not vote.
    """
    cast = []
    for own in values:
        known = np.flatnonzero(np.isfinite(own))
        if len(known) and np.ptp(own[known]) > FLAT * np.abs(own[known]).max():
            cast.append(k[known[own[known].argmax()]])
    return np.sort(np.array(cast, k.dtype))


def consensus(k: Sequence[int], values: Mapping[str, np.ndarray]) -> Consensus:
    """The consensus of the criteria (float [seed, candidate] each) on the candidates `k`.

    The median of an even number of votes is the higher of the two in the middle, since criteria
    tend to be too low. Raises ClusterError when there is no vote.
    """
    each = {name: votes(np.array(k), own) for name, own in values.items()}
    cast = np.sort(np.concatenate([np.zeros(0, np.int64), *each.values()]))
    if not len(cast):
        raise ClusterError(
            "no criterion prefers one number of clusters: the images are too few or all alike, or "
            f"there is no choice (tried: {list(k)})"
        )
    best = _quantile(cast, 0.5, "higher")
    picks = {
        name: _quantile(own, 0.5, "higher") if len(own) else None for name, own in each.items()
    }
    agree = [name for name, own in picks.items() if own and max(own / best, best / own) <= NEAR]
    low, high = _quantile(cast, 0.1, "lower"), _quantile(cast, 0.9, "higher")
    return Consensus(best, low, high, picks, agree)


def _quantile(cast: np.ndarray, share: float, side: str) -> int:
    return int(np.quantile(cast, share, method=side))  # type: ignore[call-overload]
