"""The nearest centroid of each row of a piece, out of what a product gave: on a CPU.

In one look at the scores of a row: the lowest, all that may be lowest by their error, and how low
any other is. If there are several that may be lowest, they are compared again in float64.
"""

import numpy as np
import torch

from cluster.coarse import BFLOAT16
from cluster.compiled import compiled

LANES = 32  # lowest scores that are kept while the others pass
ROUNDED = np.float32(BFLOAT16)
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal


# What _room makes
Room = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def choose(
    products: torch.Tensor,
    short: torch.Tensor,
    off: torch.Tensor,
    x: torch.Tensor,
    norms: torch.Tensor,
    centroids: torch.Tensor,
    squares: torch.Tensor,
    longest: torch.Tensor,
    cluster: torch.Tensor,
    best: torch.Tensor,
    lower: torch.Tensor,
) -> None:
    """products: float32 or bfloat16 [image, column], -2 x·c of the clusters run after run, and
    short: float32 [column], |c|²; off: float32 [image, run], by how much their sum, the score |x -
    c|² - |x|², can be off, beside the rounding of products to bfloat16; x: float32 [image, dim],
    norms: float32 [image]; centroids: float32 [run, cluster, dim]; squares: float64 [run, cluster];
    longest: float32 [run], the largest norm.

    Writes cluster: int64 [image, run], of those equally near the lowest; best: float32 [image,
    run], what its score is at most; lower: float32 [image, run], what any other has at least.
    """
    rest = short, off, x, norms, centroids, squares, longest, cluster, best, lower
    if products.dtype == torch.bfloat16:
        _of_bfloat16(products.view(torch.int16).numpy(), *(each.numpy() for each in rest))
    else:
        _of_float32(products.numpy(), *(each.numpy() for each in rest))


@compiled
def _of_float32(
    products: np.ndarray, short: np.ndarray, off: np.ndarray, x: np.ndarray, norms: np.ndarray,
    centroids: np.ndarray, squares: np.ndarray, longest: np.ndarray,
    cluster: np.ndarray, best: np.ndarray, lower: np.ndarray,
) -> None:  # fmt: skip
    runs, k, _ = centroids.shape
    room = _room(k)
    for image in range(len(x)):
        for run in range(runs):
            here = slice(run * k, (run + 1) * k)
            value = products[image, here]
            _low_and_high(value, short[here], np.float32(0), room)
            tie = TIE * longest[run] * (norms[image] + longest[run])
            cluster[image, run], best[image, run], lower[image, run] = _lowest(
                room, off[image, run], tie, x[image], centroids[run], squares[run]
            )


@compiled
def _of_bfloat16(
    products: np.ndarray, short: np.ndarray, off: np.ndarray, x: np.ndarray, norms: np.ndarray,
    centroids: np.ndarray, squares: np.ndarray, longest: np.ndarray,
    cluster: np.ndarray, best: np.ndarray, lower: np.ndarray,
) -> None:  # fmt: skip
    runs, k, _ = centroids.shape
    room = _room(k)
    bits = np.empty(k, np.int32)
    value = bits.view(np.float32)
    for image in range(len(x)):
        for run in range(runs):
            here = slice(run * k, (run + 1) * k)
            for c, half in enumerate(products[image, here]):  # the upper half of a float32
                bits[c] = np.int32(half) << np.int32(16)
            _low_and_high(value, short[here], ROUNDED, room)
            tie = TIE * longest[run] * (norms[image] + longest[run])
            cluster[image, run], best[image, run], lower[image, run] = _lowest(
                room, off[image, run], tie, x[image], centroids[run], squares[run]
            )


@compiled
def _room(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For the scores of k clusters at least; the lowest of those in each lane, and the lowest they
    are at most; clusters, and what their scores are in float64."""
    lanes = np.empty((2, min(k, LANES)), np.float32)
    return np.empty(k, np.float32), lanes[0], lanes[1], np.empty(k, np.int64), np.empty(k)


@compiled
def _low_and_high(value: np.ndarray, square: np.ndarray, rounded: float, room: Room) -> None:
    """The scores out of -2 x·c, which is off by that share, and |c|². Lane by lane, since that is
    what compilers make vectors of: the lane of a cluster is its number modulo LANES."""
    score, least, most, _, _ = room
    least[:], most[:] = np.inf, np.inf
    whole = len(value) // LANES * LANES
    for start in range(0, whole, LANES):
        some, squares = value[start : start + LANES], square[start : start + LANES]
        out = score[start : start + LANES]
        for c in range(LANES):
            middle, rounding = squares[c] + some[c], abs(some[c]) * rounded
            low, high = middle - rounding, middle + rounding
            out[c] = low
            least[c] = low if low < least[c] else least[c]
            most[c] = high if high < most[c] else most[c]
    for c in range(whole, len(value)):
        middle, rounding = square[c] + value[c], abs(value[c]) * rounded
        score[c] = middle - rounding
        least[c - whole] = min(least[c - whole], middle - rounding)
        most[c - whole] = min(most[c - whole], middle + rounding)


@compiled
def _lowest(
    room: Room, off: float, tie: float, x: np.ndarray, centroids: np.ndarray, squares: np.ndarray
) -> tuple[int, float, float]:
    """The cluster, its score at most, that of any other at least."""
    score, least, most, near, exact = room
    high = most[0]
    for value in most:
        high = min(high, value)
    limit, other, many = high + 2 * off, np.float32(np.inf), 0
    for lane in range(len(least)):
        if least[lane] > limit:
            other = min(other, least[lane])
            continue
        for c in range(lane, len(score), LANES):
            if score[c] <= limit:
                near[many] = c
                many += 1
            else:
                other = min(other, score[c])
    if many < 2:
        return (near[0] if many else 0), high + off, other - off
    first = np.inf
    for at in range(many):
        exact[at] = squares[near[at]] - 2 * _dot(x, centroids[near[at]])
        first = min(first, exact[at])
    which, second = -1, np.inf
    for at in range(many):
        if exact[at] <= first + tie and (which < 0 or near[at] < near[which]):
            which = at
    for at in range(many):
        if at != which:
            second = min(second, exact[at])
    return near[which], exact[which], min(second, other - off)


@compiled
def _dot(x: np.ndarray, y: np.ndarray) -> float:
    """In float64, where the product of two float32 is exact."""
    total = 0.0
    for d in range(len(x)):
        total += np.float64(x[d]) * np.float64(y[d])
    return total
