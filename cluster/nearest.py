"""The nearest centroid of each vector, as exact arithmetic would have it.

A product of matrices says which it is, up to its error: in the fast arithmetic of the machine
(coarse.py) that is a bound, and in float32 rounding depends on the library, the number of threads,
and what else is in the product. So all centroids that may be nearest by that error are compared
again in float64, which is rare: the answer is the same on any machine.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from cluster.coarse import Coarse, coarse
from cluster.cores import on_cores
from cluster.decide import decide

CELLS = 64_000_000  # distances that a GPU holds at once (256 MB of float32)
CORE_CELLS = 2**19  # and a core of a CPU, in its cache
CORE_ROWS, FEWEST_ROWS = 2048, 512  # that it looks at in one go, at most and at least
# Errors of a dot product of n float32 add up like a random walk: to a few times this, times √n.
ROUNDING = 16 * 2.0**-24
ROUGH = 1e-5  # the share by which distances that serve as bounds are moved to the safe side
THIN, SHORT = 48, 96  # columns and dims of a product below which fast arithmetic is no faster
COLUMNS = 64  # of a fast product there is a multiple of these
PLAIN = Coarse(0.0, "", None)


class Targets(NamedTuple):
    """Centroids, with what the distances to them take."""

    scaled: torch.Tensor  # the centroids times -2, float32 [run x cluster, dim]
    squares: torch.Tensor  # float32 [run x cluster]
    longest: torch.Tensor  # the largest norm in each run, float32 [run]
    centroids: torch.Tensor  # float32 [run, cluster, dim]
    exact_squares: torch.Tensor  # float64 [run, cluster]
    rest: torch.Tensor  # how far coarse products take a centroid from itself at most, float32 [run]


class Found(NamedTuple):
    """cluster: int64 [image, run]; upper: float32 [image, run], the distance to its centroid, at
    most; lower: float32 [image, run], that to every other, at least."""

    cluster: torch.Tensor
    upper: torch.Tensor
    lower: torch.Tensor


def targets(centroids: torch.Tensor) -> Targets:
    """Make `centroids` (float32 [run, cluster, dim]) ready for nearest."""
    squares = torch.stack([c.double().square_().sum(1) for c in centroids])
    scaled = -2 * centroids.reshape(-1, centroids.shape[2])
    longest = squares.amax(1).sqrt().float()
    way = coarse(centroids.device)
    rest = torch.stack([way.rest(c).amax() for c in centroids])
    return Targets(scaled, squares.float().ravel(), longest, centroids, squares, rest)


def nearest_in_tile(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> torch.Tensor:
    """x float32 [image, dim] and its norms [image] → the nearest cluster of each run, int64
    [image, run]. Ties: the lower cluster."""
    return nearest(x, norms, to).cluster


def nearest(
    x: torch.Tensor,
    norms: torch.Tensor,
    to: Targets,
    rows: torch.Tensor | None = None,
    rest: torch.Tensor | None = None,
) -> Found:
    """The same with how far it is, and any other. Of some `rows` of x (int64 [image]), if given;
    norms are theirs, and so is `rest`, what coarse products take them from themselves, if known."""
    n, runs = len(norms), len(to.longest)
    cluster = torch.empty(n, runs, dtype=torch.int64, device=x.device)
    found = Found(cluster, *(torch.empty(n, runs, device=x.device) for _ in range(2)))

    def part(here: slice, way: Coarse) -> None:
        own = x[here] if rows is None else x.index_select(0, rows[here])
        known = way.rest(own) if rest is None else rest[here]
        for out, value in zip(found, _look(own, norms[here], known, to, way), strict=True):
            out[here] = value

    _in_pieces(part, n, to.scaled)
    return found


def nearest_other(
    x: torch.Tensor,
    norms: torch.Tensor,
    to: Targets,
    own: torch.Tensor,
    rows: torch.Tensor,
    rest: torch.Tensor,
) -> torch.Tensor:
    """How far the centroids of one run are at least, but for the `own` (int64 [image], -1: not
    among them), of some `rows` of x (int64 [image]) with norms and rests: float32 [image]."""
    lower = torch.empty_like(norms)

    def part(here: slice, way: Coarse) -> None:
        scores, norm = _scores(x.index_select(0, rows[here]), to, way), norms[here]
        mine = torch.nonzero(own[here] >= 0).ravel()
        scores[mine, own[here][mine]] = torch.inf
        off = _error(norm, rest[here], to.longest, to.rest, x.shape[1], way)
        lower[here] = _at_least(scores.amin(1) - off, norm)

    _in_pieces(part, len(norms), to.scaled)
    return lower


def _in_pieces(work: Callable[[slice, Coarse], None], n: int, columns: torch.Tensor) -> None:
    """work(rows, arithmetic) on pieces of n rows whose products with `columns` [column, dim] fit
    into the cache. On a CPU each core takes some rows through all steps by itself."""
    wide, dim = columns.shape
    way = coarse(columns.device) if wide >= THIN and dim >= SHORT else PLAIN
    with way.products():
        if columns.is_cuda:
            step = max(16, CELLS // wide)
            for start in range(0, n, step):
                work(slice(start, start + step), way)
            return
        share = max(64, -(-n // torch.get_num_threads()))
        fit = 1 << (CORE_CELLS // wide).bit_length() - 1 if wide <= CORE_CELLS else 1
        step = min(max(FEWEST_ROWS, min(CORE_ROWS, fit)), share)
        on_cores(lambda start: work(slice(start, start + step), way), range(0, n, step))


def _scores(x: torch.Tensor, to: Targets, way: Coarse) -> torch.Tensor:
    """|x - c|² less |x|², which is the same for every c: float32 [image, run x cluster]."""
    if x.is_cuda:
        return (x @ to.scaled.T).add_(to.squares)
    if not way.error:  # numpy's is faster than torch's on some processors
        return torch.from_numpy(x.numpy() @ to.scaled.numpy().T).add_(to.squares)
    n, columns = len(x), len(to.squares)
    # Of few shapes: oneDNN keeps half a megabyte for each that it has seen
    missing = _rounded(n) - n, -columns % COLUMNS
    if not any(missing):
        return (x @ to.scaled.T).add_(to.squares)
    left, right = (
        torch.nn.functional.pad(each, (0, 0, 0, more))
        for each, more in zip((x, to.scaled), missing, strict=True)
    )
    return (left @ right.T)[:n, :columns] + to.squares


def _rounded(n: int) -> int:
    """The next power of 2."""
    return 1 << max(5, (n - 1).bit_length())


def _error(
    norms: torch.Tensor,
    rest: torch.Tensor,
    longest: torch.Tensor,
    rest_of_centroids: torch.Tensor,
    dim: int,
    way: Coarse,
) -> torch.Tensor:
    """How far scores of rows of such norms can be off."""
    off = ROUNDING * dim**0.5 * longest * (norms + longest)
    return off + 2 * (rest * longest + (norms + rest) * rest_of_centroids) if way.error else off


def _at_most(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """The distance that belongs to a score, rounded up."""
    return (score + norms.square() * (1 + ROUGH)).clamp_(min=0).sqrt_().mul_(1 + ROUGH)


def _at_least(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """And rounded down."""
    return (score + norms.square() * (1 - ROUGH)).clamp_(min=0).sqrt_().mul_(1 - ROUGH)


def _look(
    x: torch.Tensor, norms: torch.Tensor, rest: torch.Tensor, to: Targets, way: Coarse
) -> Found:
    runs, k, dim = to.centroids.shape
    scores = _scores(x, to, way).view(-1, k)
    best, second, cluster = _two_best(scores)
    off = _error(norms[:, None], rest[:, None], to.longest, to.rest, dim, way).ravel()
    norms = norms.repeat_interleave(runs)
    upper, lower = _at_most(best + off, norms), _at_least(second - off, norms)
    unsure = torch.nonzero(second - best <= 2 * off).ravel()
    if len(unsure):
        among, most = scores.index_select(0, unsure), (best + 2 * off)[unsure]
        # _two_best has put infinity where the best was
        among.scatter_(1, cluster[unsure, None], best[unsure, None])
        norm, image, run = norms[unsure], unsure // runs, unsure % runs
        found = decide(
            *(x, image, run, among <= most[:, None], norm), to.centroids, to.exact_squares
        )
        cluster[unsure] = found.cluster
        upper[unsure] = _at_most(found.best, norm)
        # Those that were not compared are further than `most` less the error
        lower[unsure] = _at_least(torch.minimum(found.second, most - off[unsure]), norm)
    return Found(*(each.view(-1, runs) for each in (cluster, upper, lower)))


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
