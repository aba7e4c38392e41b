"""Certified argmin: the nearest centroid of each image from approximate scores, on a CPU.

One pass over the scores of an image finds the lowest, every centroid whose score may be the lowest
given its error, and a lower bound on the scores of all others. Where several may be lowest, their
distances are compared again in float64, so that the answer does not depend on rounding.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import bits_of

LANES = np.uint64(16)  # scores that are compared side by side, so that the loop vectorises
MOST = np.float32(3e38)  # more is no score; below it, so that no padding is taken for one
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal


class ArgminProblem(NamedTuple):
    """Images, centroids, and the error of the scores |c|² - 2 x·c = |x - c|² - |x|².

    squares: float32 [column], |c|² of the clusters of run after run; error: float32 [image, run],
    by how much a score can be off, besides the rounding of products to bfloat16; x: float32 [row,
    dim]; row: int64 [image], where in x an image is; norms: float32 [image]; centroids: float32
    [run, cluster, dim]; exact_squares: float64 [run, cluster].
    """

    squares: Any
    error: Any
    x: Any
    row: Any
    norms: Any
    centroids: Any
    exact_squares: Any


class ArgminResult(NamedTuple):
    """cluster: int64 [image, run], the lowest-numbered of those equally near; upper: float32
    [image, run], an upper bound on its score; lower: float32 [image, run], a lower bound on the
    score of every other cluster."""

    cluster: Any
    upper: Any
    lower: Any


def certified_argmin(products: torch.Tensor, problem: ArgminProblem, out: ArgminResult) -> None:
    """Write the nearest centroids of `problem` (of tensors) to `out`, which has their shapes.

    products: float32 or bfloat16 [image, column], -2 x·c of the clusters of run after run.
    """
    arrays = ArgminProblem._make(each.numpy() for each in problem)
    _argmin(*bits_of(products), arrays, ArgminResult._make(each.numpy() for each in out))


@compiled
def _argmin(
    products: np.ndarray, shift: np.int32, rounded: np.float32, problem: ArgminProblem,
    out: ArgminResult,
) -> None:  # fmt: skip
    runs, k = np.uint64(problem.centroids.shape[0]), np.uint64(problem.centroids.shape[1])
    padded = (k + LANES - np.uint64(1)) // LANES * LANES
    squares = np.full((runs, padded), np.float32(np.inf))
    for run in range(runs):
        for c in range(k):
            squares[run, c] = problem.squares[run * k + c]
    bits = np.zeros(padded, np.int32)
    value, score = bits.view(np.float32), np.empty(padded, np.float32)
    least, lanes = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    near, exact = np.empty(k, np.int64), np.empty(k, np.float64)
    for image in range(np.uint64(len(problem.row))):
        for run in range(runs):
            start, off = run * k, problem.error[image, run]
            for c in range(k):
                bits[c] = np.int32(products[image, start + c]) << shift
            upper = _lower_scores(value, run, squares, rounded, score, least, lanes)
            many, other = not_above(score, min(upper + 2 * off, MOST), least, near)
            if many < 2:
                found = (near[0] if many else 0), upper + off, other - off
            else:
                which, first, second = compare_exactly(image, run, many, problem, near, exact)
                found = near[which], first, min(second, other - off)
            out.cluster[image, run], out.upper[image, run], out.lower[image, run] = found


@compiled
def _lower_scores(
    value: np.ndarray, run: Any, squares: np.ndarray, rounded: np.float32, score: np.ndarray,
    least: np.ndarray, most: np.ndarray,
) -> Any:  # fmt: skip
    """Write the lower end of each score, squares + value, where value (float32 [cluster]) is off by
    the share `rounded` of itself, and the lowest in each lane to `least`. Returns the lowest upper
    end."""
    for lane in range(LANES):
        least[lane], most[lane] = np.inf, np.inf
    for block in range(np.uint64(0), np.uint64(len(value)), LANES):
        for lane in range(LANES):
            c = block + lane
            middle, rounding = squares[run, c] + value[c], abs(value[c]) * rounded
            low, high = middle - rounding, middle + rounding
            score[c] = low
            least[lane] = low if low < least[lane] else least[lane]
            most[lane] = high if high < most[lane] else most[lane]
    return lowest_lane(most)


@compiled
def lowest_lane(lanes: np.ndarray) -> Any:
    """The lowest of LANES numbers, which are overwritten."""
    for lane in range(np.uint64(8)):
        other = lanes[lane + np.uint64(8)]
        lanes[lane] = other if other < lanes[lane] else lanes[lane]
    lowest = lanes[0]
    for lane in range(np.uint64(1), np.uint64(8)):
        lowest = lanes[lane] if lanes[lane] < lowest else lowest
    return lowest


@compiled
def not_above(
    score: np.ndarray, limit: Any, least: np.ndarray, near: np.ndarray
) -> tuple[Any, Any]:
    """Write to `near` the numbers of the scores that are not above `limit`: how many they are, and
    the lowest of the others. least: the lowest in each lane, which are overwritten."""
    many, size = 0, np.uint64(len(score))
    for lane in range(LANES):
        if least[lane] > limit:
            continue
        lowest = np.float32(np.inf)
        for c in range(lane, size, LANES):
            if score[c] <= limit:
                near[many] = c
                many += 1
            else:
                lowest = score[c] if score[c] < lowest else lowest
        least[lane] = lowest
    return many, lowest_lane(least)


@compiled
def compare_exactly(
    image: int, run: int, many: int, problem: ArgminProblem, near: np.ndarray, exact: np.ndarray
) -> tuple[Any, Any, Any]:
    """The first `many` clusters of `near` in float64: which is nearest (of equal ones the
    lowest-numbered), its score, and the lowest score of the rest."""
    squares = problem.exact_squares
    first, far = np.inf, 0.0
    for at in range(many):
        c = near[at]
        far = max(far, squares[run, c])
        exact[at] = score_of(c, image, run, problem)
        first = min(first, exact[at])
    length = np.sqrt(far)  # the longest of those that are compared
    tie = TIE * length * (problem.norms[image] + length)
    which, second = -1, np.inf
    for at in range(many):
        if exact[at] <= first + tie and (which < 0 or near[at] < near[which]):
            which = at
    for at in range(many):
        if at != which:
            second = min(second, exact[at])
    return which, exact[which], second


@compiled
def score_of(c: int, image: int, run: int, problem: ArgminProblem) -> Any:
    """The score of a cluster in float64."""
    x = problem.x[problem.row[image]]
    return problem.exact_squares[run, c] - 2 * _dot(x, problem.centroids[run, c])


@compiled
def _dot(x: np.ndarray, y: np.ndarray) -> Any:
    """In float64, where the product of two float32 is exact."""
    total = 0.0
    for d in range(len(x)):
        total += np.float64(x[d]) * np.float64(y[d])
    return total
