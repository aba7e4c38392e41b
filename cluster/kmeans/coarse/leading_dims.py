"""Vectors in their leading dims: most of their length in a few numbers, and the rest as one bound.

x = Pᵀy + u for any y, where the rows of P are orthonormal, or nearly so, and y is nearly Px. Then
x·c is y·z to within |u||w| (Cauchy-Schwarz), with c = Pᵀz + w, so that a product in few dims bounds
a distance from below. P spans the leading directions of a sample: a randomised range finder with
power iterations (Halko, Martinsson and Tropp 2011, algorithm 4.4).
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.argmin_cpu import LANES, MOST, ArgminProblem, ArgminResult, not_above
from cluster.kernels.float32_product import float32_product
from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import ROUNDING, bfloat16_is_fast
from cluster.kernels.threads import on_cores
from cluster.kmeans.coarse.refine import refine, score_in_float32

# Dims, numbers in the centroids of a run, and images x centroids of all runs, from which on it pays
FEWEST_DIMS, FEWEST_NUMBERS, FEWEST_PAIRS = 192, 160_000, 2**21
WIDE, DIMS = 512, 127  # leading dims of vectors of so many dims; of others half of them
SAMPLE, POWER_ITERATIONS, MORE = 1024, 2, 32
ROWS = 4096  # rows that a core projects at once


class LeadingRows(NamedTuple):
    """numbers: float32 [row, leading dim + 1]: y, and an upper bound of |u|."""

    numbers: torch.Tensor


class LeadingDims(NamedTuple):
    """components: float32 [leading dim, dim]. error: |x·c - y·z| <= |u||w| + error |x||c|."""

    components: torch.Tensor
    error: float

    @staticmethod
    def pays(images: int, centroids: torch.Tensor) -> bool:
        """Whether to look for the nearest of `centroids` [run, centroid, dim] so: where there are
        many, and no fast products of all dims."""
        runs, k, dim = centroids.shape
        large = k * dim >= FEWEST_NUMBERS and images * runs * k >= FEWEST_PAIRS
        return large and dim >= FEWEST_DIMS and not (centroids.is_cuda or bfloat16_is_fast())

    @staticmethod
    def pays_anew(centroids: torch.Tensor) -> bool:
        """The same where the vectors are projected anew for every search."""
        return centroids.shape[0] * centroids.shape[1] >= 4 * DIMS

    @staticmethod
    def empty(n: int, dim: int) -> LeadingRows:
        return LeadingRows(torch.empty(n, leading_dims(dim) + 1))

    def encode(self, x: torch.Tensor, norms: torch.Tensor, out: LeadingRows) -> None:
        """Write float32 x [image, dim], of such norms, to `out`."""
        numbers, basis, written = x.numpy(), self.components.numpy().T, out.numbers
        dims = basis.shape[1]

        def some(start: int) -> None:
            here = slice(start, start + ROWS)
            written[here, :dims] = torch.from_numpy(numbers[here] @ basis)
            y, rest = written[here, :dims], written[here, dims]
            squares = norms[here].square() * (1 + self.error) - (y * y).sum(1)
            rest[:] = squares.clamp_(min=0).sqrt_() * (1 + ROUNDING)

        on_cores(some, range(0, len(x), ROWS))

    def columns(self, centroids: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """Of float32 centroids [column, dim], times -2."""
        self.encode(centroids, norms, out := self.empty(*centroids.shape))
        return out.numbers.mul_(-2)

    def argmin(
        self, rows: LeadingRows, columns: torch.Tensor, problem: ArgminProblem,
        guess: torch.Tensor, limit: torch.Tensor, out: ArgminResult,
    ) -> None:  # fmt: skip
        """Write the nearest centroids of `problem` to `out`. guess: int64 [image, run], any
        cluster, or -1; limit: float32 [image, run], an upper bound of the score of that one."""
        # The error of float32 products of all dims is ROUNDING √dim, by the same lengths
        dim, leading = problem.x.shape[1], columns.shape[1]
        share = 2 * (self.error + ROUNDING * leading**0.5) / (ROUNDING * dim**0.5)
        _argmin(
            float32_product(rows.numbers, columns).numpy(), np.float32(share),
            ArgminProblem._make(each.numpy() for each in problem), guess.numpy(), limit.numpy(),
            ArgminResult._make(each.numpy() for each in out),
        )  # fmt: skip


def leading_dims(dim: int) -> int:
    """How many of `dim` are kept."""
    return DIMS if dim >= WIDE else DIMS // 2


def fit_leading_dims(sample: torch.Tensor) -> LeadingDims:
    """Of float32 sample [image, dim]. Only the time of a search depends on how well they fit."""
    sample = sample / sample.abs().max().clamp(min=1e-30)  # squares of squares may be infinite
    dim = sample.shape[1]
    dims = leading_dims(dim)
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(dim, dims + MORE, generator=generator)
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
    inside = sample @ basis
    basis = basis @ torch.linalg.eigh(inside.T @ inside).eigenvectors.flip(1)[:, :dims]
    wide = basis.double()
    skew = float((wide.T @ wide - torch.eye(dims, dtype=torch.float64)).norm())
    # |y - Px| <= rounding |x|, of each dim and so of their vector; see the module's first lines:
    # y·(z - Pc), z·(y - Px), and three times the skew; the length of u adds as much
    rounding = ROUNDING * (dim * dims) ** 0.5
    return LeadingDims(basis.T.contiguous(), 4 * (rounding + skew))


@compiled
def _argmin(
    products: np.ndarray, share: np.float32, problem: ArgminProblem, guess: np.ndarray,
    limit: np.ndarray, out: ArgminResult,
) -> None:  # fmt: skip
    """products: float32 [image, column], above -2 x·c by at most `share` of the error of the
    problem."""
    runs, k = np.uint64(problem.centroids.shape[0]), np.uint64(problem.centroids.shape[1])
    padded = (k + LANES - np.uint64(1)) // LANES * LANES
    score, least = np.full(padded, np.float32(np.inf)), np.empty(LANES, np.float32)
    near, exact = np.empty(k, np.int64), np.empty(k)
    for image in range(np.uint64(len(problem.row))):
        for run in range(runs):
            start, off = run * k, problem.error[image, run]
            loose, own, upper = share * off, guess[image, run], limit[image, run]
            for c in range(k):
                score[c] = problem.squares[start + c] + products[image, start + c]
            if own < 0:
                own = np.argmin(score[:k])
            _least_of_lanes(score, least)
            if not upper < MOST:
                upper = score_in_float32(own, image, run, problem) + off
            many, other = not_above(score, min(upper + loose, MOST), least, near)
            for at in range(many):
                score[near[at]] -= loose
            out.cluster[image, run], out.upper[image, run], out.lower[image, run] = refine(
                own, many, upper, other - loose, image, run, problem, score, near, exact
            )


@compiled
def _least_of_lanes(score: np.ndarray, least: np.ndarray) -> None:
    for lane in range(LANES):
        least[lane] = score[lane]
    for block in range(LANES, np.uint64(len(score)), LANES):
        for lane in range(LANES):
            each = score[block + lane]
            least[lane] = each if each < least[lane] else least[lane]
