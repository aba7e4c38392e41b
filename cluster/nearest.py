"""The nearest centroid of each vector, as exact arithmetic would have it.

A product of matrices says which it is, up to its error: in the fast arithmetic of the machine
(coarse.py) that is a bound, and in float32 rounding depends on the library, the number of threads,
and what else is in the product. So all centroids that may be nearest by that error are compared
again in float64, which is rare: the answer is the same on any machine.
"""

from typing import NamedTuple

import torch

from cluster.coarse import Coarse, coarse
from cluster.cores import on_cores

CELLS = 64_000_000  # distances that a GPU holds at once (256 MB of float32)
CORE_CELLS = 2**19  # and a core of a CPU, in its cache
CORE_ROWS, FEWEST_ROWS = 2048, 512  # that it looks at in one go, at most and at least
FEW, PAIRS = 16, 2**14  # centroids that are compared with one image alone; such pairs at once
# Errors of a dot product of n float32 add up like a random walk: to a few times this, times √n.
ROUNDING = 16 * 2.0**-24
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal
SURE = 1 - 1e-5  # a bound that is a root of float32 numbers is lower by this factor


class Targets(NamedTuple):
    """Centroids, with what the distances to them take."""

    scaled: torch.Tensor  # the centroids times -2, float32 [run x cluster, dim]
    squares: torch.Tensor  # float32 [run x cluster]
    longest: torch.Tensor  # the largest norm in each run, float32 [run]
    exact: torch.Tensor  # float64 [run, cluster, dim]
    exact_squares: torch.Tensor  # float64 [run, cluster]


class Found(NamedTuple):
    """cluster: int64 [image, run]; margin: float32 [image, run], by how much every other centroid
    is further away, at least; 0 where that is not known."""

    cluster: torch.Tensor
    margin: torch.Tensor


def targets(centroids: torch.Tensor) -> Targets:
    """Make `centroids` (float32 [run, cluster, dim]) ready for nearest."""
    exact = centroids.double()
    squares = exact.square().sum(2)
    scaled = -2 * centroids.reshape(-1, centroids.shape[2])
    longest = squares.amax(1).sqrt().float()
    return Targets(scaled, squares.float().ravel(), longest, exact, squares)


def nearest_in_tile(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> torch.Tensor:
    """x float32 [image, dim] and its norms [image] → the nearest cluster of each run, int64
    [image, run]. Ties: the lower cluster."""
    return nearest(x, norms, to).cluster


def nearest(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> Found:
    """The same, and by how much it is the nearest."""
    shape = len(x), len(to.longest)
    cluster = torch.empty(shape, dtype=torch.int64, device=x.device)
    margin = torch.empty(shape, device=x.device)
    way = coarse(x.device)

    def part(start: int) -> None:
        here = slice(start, start + step)
        cluster[here], margin[here] = _look(x[here], norms[here], to, way)

    with way.products():
        if x.is_cuda:
            step = max(16, CELLS // len(to.squares))
            for start in range(0, len(x), step):
                part(start)
        else:
            # Each core takes some rows through all steps by itself.
            share = max(64, -(-len(x) // torch.get_num_threads()))
            step = min(max(FEWEST_ROWS, min(CORE_ROWS, CORE_CELLS // len(to.squares))), share)
            on_cores(part, range(0, len(x), step))
    return Found(cluster, margin)


def _look(x: torch.Tensor, norms: torch.Tensor, to: Targets, way: Coarse) -> Found:
    runs, k, dim = to.exact.shape
    # |x - c|² less |x|², which is the same for every c
    scores = _product(x, to.scaled, way).add_(to.squares).view(-1, k)
    best, second, cluster = _two_best(scores)
    norms, longest = norms.repeat_interleave(runs), to.longest.repeat(len(x))
    off = longest * (2 * way.error * norms + ROUNDING * dim**0.5 * (norms + longest))
    squares = norms.square()
    margin = (second - off + squares).clamp_(min=0).sqrt_().mul_(SURE)
    margin -= (best + off + squares).clamp_(min=0).sqrt_().div_(SURE)
    unsure = torch.nonzero(second - best <= 2 * off).ravel()
    if len(unsure):
        among = scores[unsure]
        # _two_best has put infinity where the best was
        among.scatter_(1, cluster[unsure, None], best[unsure, None])
        maybe = among <= (best + 2 * off)[unsure, None]
        cluster[unsure] = _settle(x, unsure, maybe, to)
        margin[unsure] = 0
    return Found(cluster.view(-1, runs), margin.clamp_(min=0).view(-1, runs))


def _product(x: torch.Tensor, scaled: torch.Tensor, way: Coarse) -> torch.Tensor:
    if x.is_cuda or way.error:
        return x @ scaled.T
    return torch.from_numpy(x.numpy() @ scaled.numpy().T)  # faster than torch's on some processors


def _two_best(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The lowest and the second lowest of each row, and where the lowest is (ties: the first),
    which then holds infinity."""
    if scores.is_cuda:
        best, at = scores.min(1)
    else:  # numpy's is several times faster
        at = torch.from_numpy(scores.numpy().argmin(1))
        best = scores.gather(1, at[:, None]).ravel()
    scores.scatter_(1, at[:, None], torch.inf)
    return best, scores.amin(1), at


def _settle(
    x: torch.Tensor, unsure: torch.Tensor, maybe: torch.Tensor, to: Targets
) -> torch.Tensor:
    """The nearest by float64 of the clusters that may be it (bool [pair of image and run,
    cluster]); `unsure`: int64, image x runs + run of each pair."""
    image, run = unsure // len(to.longest), unsure % len(to.longest)
    cluster = torch.empty_like(unsure)
    few = maybe.sum(1) <= FEW
    cluster[few] = _settle_pairs(x, image[few], run[few], maybe[few], to)
    many = torch.nonzero(~few).ravel()
    for each in torch.unique(run[many]).tolist():
        here = many[run[many] == each]
        wide = x[image[here]].double()
        scores = torch.addmm(to.exact_squares[each], wide, to.exact[each].T, alpha=-2)
        cluster[here] = _first_lowest(scores, wide.norm(dim=1), to.longest[each].double())
    return cluster


def _settle_pairs(
    x: torch.Tensor, image: torch.Tensor, run: torch.Tensor, maybe: torch.Tensor, to: Targets
) -> torch.Tensor:
    line, cluster = torch.nonzero(maybe, as_tuple=True)
    place = maybe.cumsum(1)[line, cluster] - 1
    scores = torch.full((len(maybe), FEW), torch.inf, dtype=torch.float64, device=x.device)
    names = torch.zeros((len(maybe), FEW), dtype=torch.int64, device=x.device)
    names[line, place] = cluster
    for low in range(0, len(line), PAIRS):
        own, to_own = line[low : low + PAIRS], cluster[low : low + PAIRS]
        c = to.exact[run[own], to_own]
        product = (x[image[own]] * c).sum(1)
        squares = to.exact_squares[run[own], to_own]
        scores[own, place[low : low + PAIRS]] = squares - 2 * product
    norms = x[image].double().norm(dim=1)
    first = _first_lowest(scores, norms, to.longest[run].double())
    return names.gather(1, first[:, None]).ravel()


def _first_lowest(scores: torch.Tensor, norms: torch.Tensor, longest: torch.Tensor) -> torch.Tensor:
    """Where each row is lowest, and of what is equal up to TIE the first: int64 [row]."""
    tie = TIE * longest * (norms + longest)
    return (scores <= (scores.amin(1) + tie)[:, None]).byte().argmax(1)
