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

LANES = np.uint64(32)  # running minima that are kept side by side, so that the loop vectorises
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


class _Scratch(NamedTuple):
    """Memory of a thread. score: float32 [cluster]; low, high: float32 [lane]; near: int64
    [cluster]; exact: float64 [cluster]."""

    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    near: np.ndarray
    exact: np.ndarray


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
    bits = np.empty(k, np.int32)
    value = bits.view(np.float32)
    scratch = _Scratch(
        np.empty(k, np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32),
        np.empty(k, np.int64), np.empty(k, np.float64),
    )  # fmt: skip
    for image in range(np.uint64(len(problem.row))):
        for run in range(runs):
            start = run * k
            for c in range(k):
                bits[c] = np.int32(products[image, start + c]) << shift
            found = _argmin_of_one(value, rounded, image, run, problem, scratch)
            out.cluster[image, run], out.upper[image, run], out.lower[image, run] = found


@compiled
def _argmin_of_one(
    value: np.ndarray, rounded: np.float32, image: int, run: int, problem: ArgminProblem,
    scratch: _Scratch,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Of one image and run: the cluster, the upper bound of its score, the lower bound of all other
    scores. value: float32 [cluster], -2 x·c, each off by the share `rounded` of itself. Minima are
    kept lane by lane, which compilers vectorise: a cluster's lane is its number modulo LANES."""
    score, least, most, near = scratch.score, scratch.low, scratch.high, scratch.near
    short, off = problem.squares, problem.error[image, run]
    k = np.uint64(len(value))
    start, whole, lanes = run * k, k // LANES * LANES, min(k, LANES)
    for lane in range(LANES):
        least[lane], most[lane] = np.inf, np.inf
    for block in range(np.uint64(0), whole, LANES):
        for lane in range(LANES):
            c = block + lane
            middle, rounding = short[start + c] + value[c], abs(value[c]) * rounded
            low, high = middle - rounding, middle + rounding
            score[c] = low
            least[lane] = low if low < least[lane] else least[lane]
            most[lane] = high if high < most[lane] else most[lane]
    for c in range(whole, k):
        middle, rounding = short[start + c] + value[c], abs(value[c]) * rounded
        score[c] = middle - rounding
        least[c - whole] = min(least[c - whole], middle - rounding)
        most[c - whole] = min(most[c - whole], middle + rounding)
    upper = most[0]
    for lane in range(lanes):
        upper = min(upper, most[lane])
    limit, other, many = upper + 2 * off, np.float32(np.inf), 0
    for lane in range(lanes):
        if least[lane] > limit:
            other = min(other, least[lane])
            continue
        for c in range(lane, k, LANES):
            if score[c] <= limit:
                near[many] = c
                many += 1
            else:
                other = min(other, score[c])
    if many < 2:
        return (near[0] if many else 0), upper + off, other - off
    which, first, second = _compare_exactly(image, run, many, problem, near, scratch.exact)
    return near[which], first, min(second, other - off)


@compiled
def _compare_exactly(
    image: int, run: int, many: int, problem: ArgminProblem, near: np.ndarray, exact: np.ndarray
) -> tuple[Any, Any, Any]:
    """The first `many` clusters of `near` in float64: which is nearest (of equal ones the
    lowest-numbered), its score, and the lowest score of the rest."""
    squares, row = problem.exact_squares, problem.row[image]
    first, far = np.inf, 0.0
    for at in range(many):
        c = near[at]
        far = max(far, squares[run, c])
        exact[at] = squares[run, c] - 2 * _dot(problem.x[row], problem.centroids[run, c])
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
def _dot(x: np.ndarray, y: np.ndarray) -> Any:
    """In float64, where the product of two float32 is exact."""
    total = 0.0
    for d in range(len(x)):
        total += np.float64(x[d]) * np.float64(y[d])
    return total
