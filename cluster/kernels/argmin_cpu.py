"""The nearest centroid of each row of a piece, out of what a product gave: on a CPU.

In one look at the scores of a row: the lowest, all that may be lowest by their error, and how low
any other is. If there are several that may be lowest, they are compared again in float64.
"""

from typing import Any

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import bits_of

LANES = np.uint64(32)  # lowest scores that are kept while the others pass
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal


def choose(
    products: torch.Tensor,
    short: torch.Tensor,
    off: torch.Tensor,
    x: torch.Tensor,
    place: torch.Tensor,
    norms: torch.Tensor,
    centroids: torch.Tensor,
    squares: torch.Tensor,
    cluster: torch.Tensor,
    best: torch.Tensor,
    lower: torch.Tensor,
) -> None:
    """products: float32 or bfloat16 [image, column], -2 x·c of the clusters run after run, and
    short: float32 [column], |c|²; off: float32 [image, run], by how much their sum, the score |x -
    c|² - |x|², can be off, beside the rounding of products to bfloat16; x: float32, of which an
    image is the row `place`, int64 [image]; norms: float32 [image]; centroids: float32 [run,
    cluster, dim]; squares: float64 [run, cluster].

    Writes cluster: int64 [image, run], of those equally near the lowest; best: float32 [image,
    run], what its score is at most; lower: float32 [image, run], what any other has at least.
    """
    rest = short, off, x, place, norms, centroids, squares, cluster, best, lower
    _choose(*bits_of(products), *(each.numpy() for each in rest))


@compiled
def _choose(
    products: np.ndarray, shift: np.int32, rounded: np.float32, short: np.ndarray, off: np.ndarray,
    x: np.ndarray, place: np.ndarray, norms: np.ndarray, centroids: np.ndarray,
    squares: np.ndarray, cluster: np.ndarray, best: np.ndarray, lower: np.ndarray,
) -> None:  # fmt: skip
    runs, k = np.uint64(centroids.shape[0]), np.uint64(centroids.shape[1])
    bits, score = np.empty(k, np.int32), np.empty(k, np.float32)
    value = bits.view(np.float32)
    least, most = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    near, exact = np.empty(k, np.int64), np.empty(k, np.float64)
    for image in range(np.uint64(len(place))):
        for run in range(runs):
            start = run * k
            for c in range(k):
                bits[c] = np.int32(products[image, start + c]) << shift
            found = _lowest(
                value, short, start, rounded, off[image, run], x, place[image], norms[image],
                centroids, squares, run, score, least, most, near, exact,
            )  # fmt: skip
            cluster[image, run], best[image, run], lower[image, run] = found


@compiled
def _lowest(
    value: np.ndarray, short: np.ndarray, start: np.uint64, rounded: np.float32, off: float,
    x: np.ndarray, row: int, norm: float, centroids: np.ndarray, squares: np.ndarray,
    run: int, score: np.ndarray, least: np.ndarray, most: np.ndarray,
    near: np.ndarray, exact: np.ndarray,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Of one image and run: the cluster, its score at most, that of any other at least. value:
    float32 [cluster], -2 x·c, off by that share; the last five are room. Lane by lane, since that
    is what compilers make vectors of: the lane of a cluster is its number modulo LANES."""
    k = np.uint64(len(value))
    whole, lanes = k // LANES * LANES, min(k, LANES)
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
    first, far = np.inf, 0.0
    for at in range(many):
        far = max(far, squares[run, near[at]])
        exact[at] = squares[run, near[at]] - 2 * _dot(x[row], centroids[run, near[at]])
        first = min(first, exact[at])
    length = np.sqrt(far)  # the longest of those that are compared
    tie = TIE * length * (norm + length)
    which, second = -1, np.inf
    for at in range(many):
        if exact[at] <= first + tie and (which < 0 or near[at] < near[which]):
            which = at
    for at in range(many):
        if at != which:
            second = min(second, exact[at])
    return near[which], exact[which], min(second, other - off)


@compiled
def _dot(x: np.ndarray, y: np.ndarray) -> Any:
    """In float64, where the product of two float32 is exact."""
    total = 0.0
    for d in range(len(x)):
        total += np.float64(x[d]) * np.float64(y[d])
    return total
