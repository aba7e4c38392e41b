"""The nearest centroid of each vector, as exact arithmetic would have it.

A matrix product gives approximate distances with a known error: that of the machine's fast
arithmetic (low_precision.py), and of float32, whose rounding depends on the library, the number of
threads and the shape of the product. All centroids that may be nearest given that error, rarely
more than one, are compared again in float64, so the answer is the same on any machine.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import BFloat16, Float, Float32, Float64, Int64

from cluster.kernels.argmin_cpu import ArgminProblem, ArgminResult, certified_argmin
from cluster.kernels.argmin_gpu import certified_argmin_gpu
from cluster.kernels.float32_product import float32_product
from cluster.kernels.gpu.available import precision_of_rows
from cluster.kernels.gpu.fused_argmin import FusedCentroids, fused_argmin
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.low_precision import (
    MatmulPrecision,
    fast_precision,
    full_precision,
)
from cluster.kernels.norms import residuals
from cluster.kernels.threads import on_cores
from cluster.vectors.device import cells_on_gpu

CORE_CELLS = 2**20  # distances that a core of a CPU holds at once, in its cache
CORE_ROWS, FEWEST_ROWS = 4096, 512  # rows that a core processes at once, at most and at least
SHAPE = 256  # the number of rows of a product is a multiple of this, or a power of 2 below
ROUGH = 1e-5  # the share by which bounds are moved to the safe side
# Below so many columns or dims, fast arithmetic with its recomputed cases is no faster
FEWEST_COLUMNS, FEWEST_DIMS = 8, 96
COLUMNS = 16  # a fast product has a multiple of so many columns


class PreparedCentroids(NamedTuple):
    """Centroids, with all that their distances need.

    precision: the arithmetic of products; scaled: centroids times -2, with columns of zeros at the
    end in bfloat16; squares: |c|², like exact_squares; longest: the largest norm of a run;
    residual: the largest MatmulPrecision.residual of a run; fused: operands of the fused product,
    where that is used.
    """

    precision: MatmulPrecision
    scaled: Float[torch.Tensor, "column dim"]
    squares: Float32[torch.Tensor, " run*cluster"]
    longest: Float32[torch.Tensor, " run"]
    centroids: Float32[torch.Tensor, "run cluster dim"]
    exact_squares: Float64[torch.Tensor, "run cluster"]
    residual: Float32[torch.Tensor, " run"]
    fused: FusedCentroids | None = None


class NearestWithBounds(NamedTuple):
    """upper: an upper bound of the distance to the nearest centroid; lower: a lower bound of the
    distance to every other."""

    cluster: Int64[torch.Tensor, "image run"]
    upper: Float32[torch.Tensor, "image run"]
    lower: Float32[torch.Tensor, "image run"]


def prepare_centroids(centroids: Float32[torch.Tensor, "run cluster dim"]) -> PreparedCentroids:
    """Compute what `nearest` needs of the centroids."""
    runs, k, dim = centroids.shape
    large = runs * k >= FEWEST_COLUMNS and dim >= FEWEST_DIMS
    device = centroids.device
    precision = fast_precision(device) if large else full_precision(device)
    if centroids.is_cuda:
        from cluster.kmeans.gpu.prepared_centroids import prepare_on_gpu  # which imports this file

        return prepare_on_gpu(centroids, precision, large)
    squares = torch.stack([c.double().square_().sum(1) for c in centroids])
    scaled = -2 * centroids.reshape(-1, dim)
    residual = torch.stack([precision.residual(c).amax() for c in centroids])
    if precision.error:
        scaled = torch.nn.functional.pad(scaled, (0, 0, 0, -len(scaled) % COLUMNS)).bfloat16()
    longest = squares.amax(1).sqrt().float()
    short = squares.float().ravel()
    return PreparedCentroids(precision, scaled, short, longest, centroids, squares, residual)


def nearest_in_tile(
    x: Float32[torch.Tensor, "image dim"],
    norms: Float32[torch.Tensor, " image"],
    to: PreparedCentroids,
) -> Int64[torch.Tensor, "image run"]:
    """The nearest cluster of each run; ties: the lower cluster. norms: of x."""
    return nearest(x, norms, to).cluster


def nearest(
    x: Float32[torch.Tensor, "row dim"],
    norms: Float32[torch.Tensor, " image"],
    to: PreparedCentroids,
    rows: Int64[torch.Tensor, " image"] | None = None,
    residual: Float32[torch.Tensor, " image"] | None = None,
    bf16: BFloat16[torch.Tensor, "row padded"] | None = None,
) -> NearestWithBounds:
    """The nearest cluster of each run, with bounds on the distances.

    rows: the images are these rows of x, by default all. norms, residual (as row_stats has them):
    of the images; residuals are computed if not given. bf16: x as bfloat16, if it is cached (on a
    GPU: padded_bf16).
    """
    n, runs = len(norms), len(to.longest)
    if x.is_cuda and to.precision.precision != precision_of_rows(x.device).precision:
        residual = None  # of another arithmetic
    if residual is None and to.precision.error:
        some = x if rows is None else x.index_select(0, rows)
        residual = to.precision.residual(some) if x.is_cuda else residuals(some)
    if to.fused is not None:
        return _nearest_fused(x, norms, to, to.fused, rows, residual, bf16)
    scores = ArgminResult(
        torch.empty(n, runs, dtype=torch.int64, device=x.device),
        *(torch.empty(n, runs, device=x.device) for _ in range(2)),
    )
    rest = norms if residual is None else residual
    error, norm = _error(norms[:, None], rest[:, None], to), norms[:, None]
    source = bf16 if bf16 is not None and to.scaled.dtype == bf16.dtype else x
    argmin = certified_argmin_gpu if x.is_cuda else certified_argmin

    def find(here: slice) -> None:
        own = source[here] if rows is None else source.index_select(0, rows[here])
        if rows is None or source is x:  # the float32 rows, in the order of the images
            whole, row = x[here] if rows is None else own, torch.arange(len(own), device=x.device)
        else:
            whole, row = x, rows[here]
        problem = ArgminProblem(
            to.squares, error[here], whole, row, norms[here], to.centroids, to.exact_squares
        )
        argmin(_products(own, to), problem, ArgminResult._make(each[here] for each in scores))

    with to.precision.applied():
        in_pieces(find, n, to.scaled)
    upper, lower = distance_above(scores.upper, norm), distance_below(scores.lower, norm)
    return NearestWithBounds(scores.cluster, upper, lower)


def _nearest_fused(
    x: Float32[torch.Tensor, "row dim"],
    norms: Float32[torch.Tensor, " image"],
    to: PreparedCentroids,
    fused: FusedCentroids,
    rows: Int64[torch.Tensor, " image"] | None,
    residual: Float32[torch.Tensor, " image"] | None,
    bf16: BFloat16[torch.Tensor, "row padded"] | None,
) -> NearestWithBounds:
    """As nearest, without scores in memory."""
    assert residual is not None
    if bf16 is None:
        bf16 = padded_bf16(x)
    norm, row = norms[:, None], torch.arange(len(x), device=x.device) if rows is None else rows
    problem = ArgminProblem(
        to.squares, _error(norm, residual[:, None], to), x, row, norms, to.centroids,
        to.exact_squares,
    )  # fmt: skip
    found = fused_argmin(bf16 if rows is None else bf16.index_select(0, rows), fused, problem)
    upper, lower = distance_above(found.upper, norm), distance_below(found.lower, norm)
    return NearestWithBounds(found.cluster, upper, lower)


def in_pieces(
    work: Callable[[slice], None], n: int, columns: Float[torch.Tensor, "column ..."]
) -> None:
    """Call work(rows) on pieces of n rows whose products with `columns` fit in the cache. On a CPU
    each core takes a piece through all steps by itself."""
    wide = len(columns)
    if columns.is_cuda:
        step = max(16, cells_on_gpu(columns.device) // wide)
        for start in range(0, n, step):
            work(slice(start, start + step))
        return
    fit = max(FEWEST_ROWS, min(CORE_ROWS, CORE_CELLS // wide))
    cores = torch.get_num_threads()
    turns = max(1, -(-n // (fit * cores)))  # pieces of each core
    step = round_rows(-(-n // (turns * cores)))
    on_cores(lambda start: work(slice(start, start + step)), range(0, n, step))


def _products(
    x: Float[torch.Tensor, "image dim"], to: PreparedCentroids
) -> Float[torch.Tensor, "image column"]:
    """-2 x·c of the clusters of run after run."""
    if x.is_cuda:
        return x @ to.scaled.T
    if not to.precision.error:
        return float32_product(x, to.scaled)
    # Of few shapes: oneDNN caches half a megabyte for each shape that it has seen
    n = len(x)
    if more := round_rows(n) - n:
        x = torch.nn.functional.pad(x, (0, 0, 0, more))
    return (x.to(to.scaled.dtype) @ to.scaled.T)[:n]


def round_rows(n: int) -> int:
    """n rounded up to one of few numbers of rows."""
    return -(-n // SHAPE) * SHAPE if n > SHAPE else 1 << max(5, (n - 1).bit_length())


def _error(
    norms: Float32[torch.Tensor, "image 1"],
    residual: Float32[torch.Tensor, "image 1"],
    to: PreparedCentroids,
) -> Float32[torch.Tensor, "image run"]:
    """The error of the scores of rows of such norms, besides the rounding of products to
    bfloat16."""
    error = to.precision.rounding(to.scaled.shape[1]) * to.longest * (norms + to.longest)
    if to.precision.error:
        error = error + 2 * (residual * to.longest + (norms + residual) * to.residual)
    return error


def distance_above(
    score: Float32[torch.Tensor, "image run"], norms: Float32[torch.Tensor, "image 1"]
) -> Float32[torch.Tensor, "image run"]:
    """The distance that corresponds to a score, rounded up."""
    return torch.addcmul(score, norms, norms, value=1 + ROUGH).clamp_(min=0).sqrt_().mul_(1 + ROUGH)


def distance_below(
    score: Float32[torch.Tensor, "image run"], norms: Float32[torch.Tensor, "image 1"]
) -> Float32[torch.Tensor, "image run"]:
    """The distance that corresponds to a score, rounded down."""
    return torch.addcmul(score, norms, norms, value=1 - ROUGH).clamp_(min=0).sqrt_().mul_(1 - ROUGH)
