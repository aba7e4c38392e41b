"""Certified argmin from products in few dims (leading_dims.py), on a CPU.

The products bound every score from below. The score of the cluster that an image had before bounds
the lowest from above. Clusters between the two, often none but that one, are compared by float32
products of all dims, and in float64 where these leave a doubt. So the answer is that of
argmin_cpu.py, and nearly all centroids are never read.
"""

from typing import Any

import numpy as np
import torch

from cluster.kernels.argmin_cpu import (
    LANES,
    MOST,
    ArgminProblem,
    ArgminResult,
    compare_exactly,
    not_above,
)
from cluster.kernels.jit import compiled


def projected_argmin(
    products: np.ndarray,
    slack: torch.Tensor,
    problem: ArgminProblem,
    guess: torch.Tensor,
    limit: torch.Tensor,
    out: ArgminResult,
) -> None:
    """Write the nearest centroids of `problem` to `out`.

    products: float32 [image, column], at most `slack` (float32 [image, run]) above -2 x·c. guess:
    int64 [image, run], any cluster, or -1; limit: float32 [image, run], an upper bound of the score
    of that one. The error of `problem` is that of float32 dot products of all dims.
    """
    arrays = ArgminProblem._make(each.numpy() for each in problem)
    result = ArgminResult._make(each.numpy() for each in out)
    _argmin(products, slack.numpy(), arrays, guess.numpy(), limit.numpy(), result)


@compiled
def _argmin(
    products: np.ndarray, slack: np.ndarray, problem: ArgminProblem, guess: np.ndarray,
    limit: np.ndarray, out: ArgminResult,
) -> None:  # fmt: skip
    runs, k = np.uint64(problem.centroids.shape[0]), np.uint64(problem.centroids.shape[1])
    padded = (k + LANES - np.uint64(1)) // LANES * LANES
    score, least = np.full(padded, np.float32(np.inf)), np.empty(LANES, np.float32)
    near, exact = np.empty(k, np.int64), np.empty(k)
    for image in range(np.uint64(len(problem.row))):
        for run in range(runs):
            start, off, loose = run * k, problem.error[image, run], slack[image, run]
            own, upper = guess[image, run], limit[image, run]
            for c in range(k):
                score[c] = problem.squares[start + c] + products[image, start + c]
            if own < 0:
                own = np.argmin(score[:k])
            score[own] = np.inf  # of the others: which may be nearer?
            _least_of_lanes(score, least)
            if not upper < MOST:
                upper = _score_in_float32(own, image, run, problem) + off
            many, other = not_above(score, min(upper + loose, MOST), least, near)
            if many:  # a sharper limit
                score[own] = _score_in_float32(own, image, run, problem) - off
                upper = min(upper, score[own] + 2 * off)
                many, other = _keep(many, near, score, upper + loose, other)
            other -= loose
            if many:  # by as few as remain
                for at in range(many):
                    c = near[at]
                    score[c] = _score_in_float32(c, image, run, problem) - off
                    upper = min(upper, score[c] + 2 * off)
                near[many] = own
                many, other = _keep(many + 1, near, score, upper, other)
                own = near[0]
            found = own, upper, other
            if many > 1:
                which, first, second = compare_exactly(image, run, many, problem, near, exact)
                found = near[which], np.float32(first), min(np.float32(second), other)
            out.cluster[image, run], out.upper[image, run], out.lower[image, run] = found


@compiled
def _least_of_lanes(score: np.ndarray, least: np.ndarray) -> None:
    for lane in range(LANES):
        least[lane] = score[lane]
    for block in range(LANES, np.uint64(len(score)), LANES):
        for lane in range(LANES):
            each = score[block + lane]
            least[lane] = each if each < least[lane] else least[lane]


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
def _score_in_float32(c: int, image: int, run: int, problem: ArgminProblem) -> Any:
    x, centroid = problem.x[problem.row[image]], problem.centroids[run, c]
    total = np.float32(0)
    for d in range(np.uint64(len(x))):
        total += x[d] * centroid[d]
    return np.float32(problem.exact_squares[run, c]) - 2 * total
