"""The nearest centroid of each vector, as exact arithmetic would have it.

A product of matrices says which it is, up to its error: in the fast arithmetic of the machine
(coarse.py) that is a bound, and in float32 rounding depends on the library, the number of threads,
and what else is in the product. So all centroids that may be nearest by that error are compared
again in float64, which is rare: the answer is the same on any machine.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from cluster.coarse import Coarse, coarse, plain
from cluster.cores import on_cores
from cluster.decide import ROUNDING, decide
from cluster.distances import rests
from cluster.two_best import Doubts, First, look_on_core, look_on_gpu

CELLS = 64_000_000  # distances that a GPU holds at once (256 MB of float32)
CORE_CELLS = 2**19  # and a core of a CPU, in its cache
CORE_ROWS, FEWEST_ROWS = 4096, 512  # that it looks at in one go, at most and at least
ROUGH = 1e-5  # the share by which distances that serve as bounds are moved to the safe side
# Columns and dims of a product below which fast arithmetic, with what it leaves in doubt, is no
# faster.
THIN, SHORT = 192, 96
COLUMNS = 64  # of a fast product there is a multiple of these


class Targets(NamedTuple):
    """Centroids, with what the distances to them take. Of one run there may be columns at the end
    that are nothing, infinitely far."""

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
    scaled, short = -2 * centroids.reshape(-1, centroids.shape[2]), squares.float().ravel()
    longest = squares.amax(1).sqrt().float()
    way = coarse(centroids.device)
    rest = torch.stack([way.rest(c).amax() for c in centroids])
    if len(centroids) == 1 and way.error and len(short) >= THIN and (more := -len(short) % COLUMNS):
        scaled = torch.nn.functional.pad(scaled, (0, 0, 0, more))
        short = torch.nn.functional.pad(short, (0, more), value=torch.inf)
    return Targets(scaled, short, longest, centroids, squares, rest)


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
    if rest is None:
        rest = rests(x if rows is None else x.index_select(0, rows)) if is_wide(to) else norms
    off = _error(norms[:, None], rest[:, None], to, x.shape[1])
    first = First(
        torch.empty(n, runs, dtype=torch.int64, device=x.device),
        *(torch.empty(n, runs, device=x.device) for _ in range(2)),
    )
    if not n:
        return Found(*first)
    doubts: dict[int, Doubts] = {}

    def part(here: slice, way: Coarse) -> None:
        own = x[here] if rows is None else x.index_select(0, rows[here])
        look = look_on_gpu if x.is_cuda else look_on_core
        doubts[here.start] = look(_scores(own, to, way), 2 * off[here], here, first)

    _in_pieces(part, n, to.scaled)
    norm = norms[:, None]
    found = Found(
        first.cluster, _at_most(first.best + off, norm), _at_least(first.second - off, norm)
    )
    told = [doubts[start] for start in sorted(doubts)]
    pair, count, cluster = (torch.cat(each) for each in zip(*told, strict=True))
    if len(pair):
        image, run = pair // runs, pair % runs
        at = image if rows is None else rows[image]
        exact = decide(x, at, run, count, cluster, norms[image], to.centroids, to.exact_squares)
        found.cluster[image, run] = exact.cluster
        rounding = (ROUNDING * x.shape[1] ** 0.5 * to.longest * (norm + to.longest))[image, run]
        found.upper[image, run] = _at_most(exact.best + rounding, norms[image])
        # Those that were not compared are further than the best by twice the error, less that
        least = torch.minimum(exact.second - rounding, (first.best + off)[image, run])
        found.lower[image, run] = _at_least(least, norms[image])
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
        off = _error(norm, rest[here], to, x.shape[1])
        lower[here] = _at_least(scores.amin(1) - off, norm)

    _in_pieces(part, len(norms), to.scaled)
    return lower


def is_wide(to: Targets) -> bool:
    """Whether products with these centroids are coarse, where this machine has such."""
    return _is_wide(to.scaled)


def _is_wide(columns: torch.Tensor) -> bool:
    return len(columns) >= THIN and columns.shape[1] >= SHORT


def _in_pieces(work: Callable[[slice, Coarse], None], n: int, columns: torch.Tensor) -> None:
    """work(rows, arithmetic) on pieces of n rows whose products with `columns` [column, dim] fit
    into the cache. On a CPU each core takes some rows through all steps by itself."""
    wide, way = len(columns), coarse(columns.device) if _is_wide(columns) else plain(columns.device)
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
    # Of few shapes: oneDNN keeps half a megabyte for each that it has seen
    n, columns = len(x), len(to.squares)
    if more := _rounded(n) - n:
        x = torch.nn.functional.pad(x, (0, 0, 0, more))
    if rest := -columns % COLUMNS:
        right = torch.nn.functional.pad(to.scaled, (0, 0, 0, rest))
        return (x @ right.T)[:n, :columns] + to.squares
    return (x @ to.scaled.T)[:n].add_(to.squares)


def _rounded(n: int) -> int:
    """The next power of 2."""
    return 1 << max(5, (n - 1).bit_length())


def _error(norms: torch.Tensor, rest: torch.Tensor, to: Targets, dim: int) -> torch.Tensor:
    """How far scores of rows of such norms can be off."""
    off = ROUNDING * dim**0.5 * to.longest * (norms + to.longest)
    if is_wide(to) and coarse(norms.device).error:
        off = off + 2 * (rest * to.longest + (norms + rest) * to.rest)
    return off


def _at_most(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """The distance that belongs to a score, rounded up."""
    return torch.addcmul(score, norms, norms, value=1 + ROUGH).clamp_(min=0).sqrt_().mul_(1 + ROUGH)


def _at_least(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """And rounded down."""
    return torch.addcmul(score, norms, norms, value=1 - ROUGH).clamp_(min=0).sqrt_().mul_(1 - ROUGH)
