"""Maximise an expensive function of an integer by Brent's method (Brent 1973, chapter 5).

After the search for the number of classes of GCD (arXiv:2201.02609), which is SciPy's bounded
`minimize_scalar`. But: that searches real numbers, so it evaluates 12.3 and 12.4 and clusters 12
twice. Here each integer is evaluated once, and its value is cached. Brent's method assumes a
unimodal function; here the neighbours of the best integer are evaluated in the end, until both are
lower, so that the answer is at least a local maximum, and the maximum of a unimodal function.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cluster.errors import ClusterError

WIDTH = 0.6  # Brent's method stops where its interval holds about one integer


class SearchResult(NamedTuple):
    """best: the integer of the highest value, of equal ones the lowest; tried: all values."""

    best: int
    tried: dict[int, float]


def maximize(
    value: Callable[[int], float], low: int, high: int, tried: Mapping[int, float]
) -> SearchResult:
    """Search low..high for the integer with the highest `value`.

    tried: values that are known already and are not evaluated again. They do not change the course
    of the search. Raises ClusterError when high is below low.
    """
    from scipy.optimize import minimize_scalar

    if high < low:
        raise ClusterError(f"no integer lies in {low} to {high}: the second must not be the lower")
    known = dict(tried)
    seen: dict[int, float] = {}

    def at(k: int) -> float:
        if k not in known:
            known[k] = value(k)
        seen[k] = known[k]
        return seen[k]

    if high - low > 2:
        options = {"xatol": WIDTH}
        minimize_scalar(
            lambda k: -at(round(k)), bounds=(low, high), method="bounded", options=options
        )
    else:
        at(low)
    while True:
        best = _best(seen)
        beside = [k for k in (best - 1, best + 1) if low <= k <= high and k not in seen]
        if not beside:
            return SearchResult(best, dict(sorted(seen.items())))
        for k in beside:
            at(k)


def _best(seen: Mapping[int, float]) -> int:
    return min(seen, key=lambda k: (-seen[k], k))
