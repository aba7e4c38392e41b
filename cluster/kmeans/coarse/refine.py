"""The nearest of few centroids: which of those that cheap products leave is it?

A cheap product bounds every score from below, and the score of one cluster, mostly that which the
image had before, bounds the lowest from above. The clusters between the two, often only that one,
are compared by float32 products of all dims, and in float64 where these leave a doubt. So the
answer is that of argmin_cpu.py, and nearly all centroids are never read.
"""

from typing import Any

import numpy as np

from cluster.kernels.argmin_cpu import ArgminProblem, compare_exactly
from cluster.kernels.jit import compiled


@compiled
def refine(
    own: Any, many: Any, upper: Any, other: Any, image: int, run: int, problem: ArgminProblem,
    score: np.ndarray, near: np.ndarray, exact: np.ndarray,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The nearest cluster of an image, an upper bound of its score, a lower bound of the others.

    near: int64 [cluster], whose first `many` may be nearest, `own` among them; upper: no less than
    the lowest score; other: no more than the scores of the rest; score: float32 [cluster], lower
    bounds, which are overwritten. The error of `problem` is that of float32 products of all dims.
    """
    if many < 2:
        return own, upper, other
    off = problem.error[image, run]
    score[own] = score_in_float32(own, image, run, problem) - off
    upper = min(upper, score[own] + 2 * off)
    many, other = _keep(many, near, score, upper, other)
    if many > 1:
        for at in range(many):
            c = near[at]
            if c != own:
                score[c] = score_in_float32(c, image, run, problem) - off
                upper = min(upper, score[c] + 2 * off)
        many, other = _keep(many, near, score, upper, other)
    if many < 2:
        return near[0], upper, other
    which, first, second = compare_exactly(image, run, many, problem, near, exact)
    return near[which], np.float32(first), min(np.float32(second), other)


@compiled
def _keep(
    many: int, near: np.ndarray, score: np.ndarray, limit: Any, other: Any
) -> tuple[Any, Any]:
    """Keep of the first `many` of `near` those whose score is not above `limit`: how many they are,
    and the lowest score of the others, of which `other` was the lowest."""
    kept = 0
    for at in range(many):
        if score[near[at]] <= limit:
            near[kept] = near[at]
            kept += 1
        else:
            other = min(other, score[near[at]])
    return kept, other


@compiled
def score_in_float32(c: int, image: int, run: int, problem: ArgminProblem) -> Any:
    x, centroid = problem.x[problem.row[image]], problem.centroids[run, c]
    total = np.float32(0)
    for d in range(np.uint64(len(x))):
        total += x[d] * centroid[d]
    return np.float32(problem.exact_squares[run, c]) - 2 * total
