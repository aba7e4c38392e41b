"""The nearest centroid of each vector, as exact arithmetic would have it.

A product of matrices says which it is, up to its error: in the fast arithmetic of the machine
(coarse.py) that is a bound, and in float32 rounding depends on the library, the number of threads,
and what else is in the product. So all centroids that may be nearest by that error are compared
again in float64, which is rare: the answer is the same on any machine.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from cluster.kernels.argmin_cpu import choose
from cluster.kernels.argmin_gpu import choose_on_gpu
from cluster.kernels.low_precision import ROUNDING, Coarse, coarse, plain
from cluster.kernels.norms import rests
from cluster.kernels.threads import on_cores

CELLS = 64_000_000  # distances that a GPU holds at once (256 MB of float32)
CORE_CELLS = 2**20  # and a core of a CPU, in its cache
CORE_ROWS, FEWEST_ROWS = 4096, 512  # that it looks at in one go, at most and at least
SHAPE = 256  # rows of a product are as many, or a multiple, or a power of 2 below
ROUGH = 1e-5  # the share by which distances that serve as bounds are moved to the safe side
# Columns and dims of a product below which fast arithmetic, with what it leaves in doubt, is no
# faster
THIN, SHORT = 8, 96
COLUMNS = 16  # of a fast product there is a multiple of these


class Targets(NamedTuple):
    """Centroids, with what the distances to them take. Columns at the end may be nothing."""

    way: Coarse  # the arithmetic of products
    scaled: torch.Tensor  # centroids times -2, float32 or bfloat16 [run x cluster.., dim]
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
    scaled, device = -2 * centroids.reshape(-1, centroids.shape[2]), centroids.device
    wide = len(scaled) >= THIN and scaled.shape[1] >= SHORT
    way = coarse(device) if wide else plain(device)
    rest = torch.stack([way.rest(c).amax() for c in centroids])
    if way.error and not scaled.is_cuda:
        scaled = torch.nn.functional.pad(scaled, (0, 0, 0, -len(scaled) % COLUMNS)).bfloat16()
    longest = squares.amax(1).sqrt().float()
    return Targets(way, scaled, squares.float().ravel(), longest, centroids, squares, rest)


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
    short: torch.Tensor | None = None,
) -> Found:
    """The same with how far it is, and any other. Of some `rows` of x (int64 [image]), if given;
    norms are theirs, and so is `rest`, what coarse products take them from themselves, if known.
    short: x as such products take it, bfloat16 [image, dim], if that is kept."""
    n, runs = len(norms), len(to.longest)
    if rest is None:
        rest = rests(x if rows is None else x.index_select(0, rows)) if to.way.error else norms
    found = Found(
        torch.empty(n, runs, dtype=torch.int64, device=x.device),
        *(torch.empty(n, runs, device=x.device) for _ in range(2)),
    )
    off, norm = _error(norms[:, None], rest[:, None], to), norms[:, None]
    centres = to.centroids, to.exact_squares
    source = short if short is not None and to.scaled.dtype == short.dtype else x
    choosing = choose_on_gpu if x.is_cuda else choose

    def part(here: slice) -> None:
        own = source[here] if rows is None else source.index_select(0, rows[here])
        if rows is None or source is x:  # its rows are at hand, in the order of the images
            whole, place = x[here] if rows is None else own, torch.arange(len(own), device=x.device)
        else:
            whole, place = x, rows[here]
        out = tuple(each[here] for each in found)
        products = _products(own, to)
        choosing(products, to.squares, off[here], whole, place, norms[here], *centres, *out)

    with to.way.products():
        _in_pieces(part, n, to.scaled)
    return Found(found.cluster, _at_most(found.upper, norm), _at_least(found.lower, norm))


def _in_pieces(work: Callable[[slice], None], n: int, columns: torch.Tensor) -> None:
    """work(rows) on pieces of n rows whose products with `columns` [column, dim] fit into the
    cache. On a CPU each core takes some rows through all steps by itself."""
    wide = len(columns)
    if columns.is_cuda:
        step = max(16, CELLS // wide)
        for start in range(0, n, step):
            work(slice(start, start + step))
        return
    fit = max(FEWEST_ROWS, min(CORE_ROWS, CORE_CELLS // wide))
    cores = torch.get_num_threads()
    turns = max(1, -(-n // (fit * cores)))  # of all cores
    step = _rounded(-(-n // (turns * cores)))
    on_cores(lambda start: work(slice(start, start + step)), range(0, n, step))


def _products(x: torch.Tensor, to: Targets) -> torch.Tensor:
    """-2 x·c, [image, run x cluster..]."""
    if x.is_cuda:
        return x @ to.scaled.T
    if not to.way.error:  # numpy's is faster than torch's on some processors
        return torch.from_numpy(x.numpy() @ to.scaled.numpy().T)
    # Of few shapes: oneDNN keeps half a megabyte for each that it has seen
    n = len(x)
    if more := _rounded(n) - n:
        x = torch.nn.functional.pad(x, (0, 0, 0, more))
    return (x.to(to.scaled.dtype) @ to.scaled.T)[:n]


def _rounded(n: int) -> int:
    """The next of few numbers of rows."""
    return -(-n // SHAPE) * SHAPE if n > SHAPE else 1 << max(5, (n - 1).bit_length())


def _error(norms: torch.Tensor, rest: torch.Tensor, to: Targets) -> torch.Tensor:
    """How far scores of rows of such norms can be off, beside the rounding of products to
    bfloat16."""
    off = ROUNDING * to.scaled.shape[1] ** 0.5 * to.longest * (norms + to.longest)
    if to.way.error:
        off = off + 2 * (rest * to.longest + (norms + rest) * to.rest)
    return off


def _at_most(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """The distance that belongs to a score, rounded up."""
    return torch.addcmul(score, norms, norms, value=1 + ROUGH).clamp_(min=0).sqrt_().mul_(1 + ROUGH)


def _at_least(score: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """And rounded down."""
    return torch.addcmul(score, norms, norms, value=1 - ROUGH).clamp_(min=0).sqrt_().mul_(1 - ROUGH)
