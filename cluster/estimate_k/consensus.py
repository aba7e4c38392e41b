"""From curves over the number of clusters to one number, and how sure it is.

Each criterion (cluster.estimate_k.criteria) votes once a seed, for the k of its highest value, and
the median of all votes is recommended: one wild criterion does not move it. It was chosen on four
sets of ten classes (photographs, product pictures, digits by two backbones), where it says 6, 11, 8
and 10, and on clear mixtures of 3, 10 and 30 groups in 50 or more images each, where it says 3, 10
and 29. Of groups that overlap it sees about half. No criterion alone was within a third of all
seven (the silhouette says 2 of the photographs, the coding length 4); the highest sum of the scaled
curves says 5 and 12 where the median says 8 and 9. It errs to the low side: classes that look alike
are one group."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError

FLAT = 1e-9  # a curve that varies by less, relative to its size, has no highest value
NEAR = 1.25  # a criterion agrees when its own median is within this factor


class Consensus(NamedTuple):
    """k: what is recommended; low, high: four fifths of the votes lie from one to the other; picks:
    the median vote of each criterion, None for one without a vote; agree: the criteria whose pick
    is within NEAR of k."""

    k: int
    low: int
    high: int
    picks: dict[str, int | None]
    agree: list[str]


def votes(k: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The k (int [candidate]) of the highest value of each seed, of equal ones the lowest, rising.

    values: float [seed, candidate], nan where there is none; a seed of equal values does not vote.
    """
    cast = []
    for own in values:
        known = np.flatnonzero(np.isfinite(own))
        if len(known) and np.ptp(own[known]) > FLAT * np.abs(own[known]).max():
            cast.append(k[known[own[known].argmax()]])
    return np.sort(np.array(cast, k.dtype))


def consensus(k: Sequence[int], values: Mapping[str, np.ndarray]) -> Consensus:
    """What the criteria (float [seed, candidate] each) make of the candidates `k`.

    Medians of an even number of votes are the higher of the two in the middle: criteria err to the
    low side. Raises ClusterError when nobody votes.
    """
    each = {name: votes(np.array(k), own) for name, own in values.items()}
    cast = np.sort(np.concatenate([np.zeros(0, np.int64), *each.values()]))
    if not len(cast):
        raise ClusterError(
            "nothing tells one number of clusters from another: the images are too few or all "
            f"alike, or there is no choice (tried: {list(k)})"
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
