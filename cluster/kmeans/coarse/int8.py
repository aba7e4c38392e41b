"""Vectors in 8 bits: products of all dims, with a bound on what rounding leaves out.

x = x' + e with x' of whole numbers times a scale (int8_product.py), and c = c' + f. Then x·c is
x'·c' to within |e||c| + |x'||f|.
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.argmin_cpu import (
    LANES,
    MOST,
    ArgminProblem,
    ArgminResult,
    not_above,
)
from cluster.kernels.int8_product import (
    Int8Rows,
    empty_int8_rows,
    int8_is_fast,
    int8_product,
    write_int8_rows,
)
from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import ROUNDING, bfloat16_is_fast
from cluster.kmeans.coarse.refine import refine
from cluster.kmeans.nearest import COLUMNS, FEWEST_DIMS, round_rows

# Centroids of all runs, and images x those, from which on it pays: with fewer, Hamerly's bounds of
# float32 are sharper, and so spare more comparisons
FEWEST, FEWEST_PAIRS = 32, 2**20
ANEW = 48  # centroids of all runs, from which on it pays for rows that are converted every time


class Int8Columns(NamedTuple):
    """Centroids, with zeros at the end. values: int8 [column, dim]; scale, norm, residual: float32
    [column], the last two rounded up."""

    values: torch.Tensor
    scale: torch.Tensor
    norm: torch.Tensor
    residual: torch.Tensor


class Int8:
    """Vectors as whole numbers of 8 bits."""

    @staticmethod
    def pays(images: int, centroids: torch.Tensor) -> bool:
        """Whether to look for the nearest of `centroids` [run, centroid, dim] so."""
        runs, k, dim = centroids.shape
        large = runs * k >= FEWEST and images * runs * k >= FEWEST_PAIRS
        slow = not (centroids.is_cuda or bfloat16_is_fast())
        return large and dim >= FEWEST_DIMS and slow and int8_is_fast()

    @staticmethod
    def pays_anew(centroids: torch.Tensor) -> bool:
        """The same where the vectors are converted anew for every search."""
        return centroids.shape[0] * centroids.shape[1] >= ANEW

    @staticmethod
    def empty(n: int, dim: int) -> Int8Rows:
        return empty_int8_rows(n, dim)

    def encode(self, x: torch.Tensor, norms: torch.Tensor, out: Int8Rows) -> None:
        """Write float32 x [image, dim], of such norms, to `out`."""
        write_int8_rows(x, out)

    def columns(self, centroids: torch.Tensor, norms: torch.Tensor) -> Int8Columns:
        """Of float32 centroids [column, dim]."""
        n = len(centroids)
        padded = torch.nn.functional.pad(centroids, (0, 0, 0, -n % COLUMNS))
        write_int8_rows(padded, rows := empty_int8_rows(*padded.shape))
        norm = torch.nn.functional.pad(norms * (1 + ROUNDING), (0, len(padded) - n))
        return Int8Columns(rows.values, rows.scale, norm, rows.residual)

    def argmin(
        self, rows: Int8Rows, columns: Int8Columns, problem: ArgminProblem, guess: torch.Tensor,
        limit: torch.Tensor, out: ArgminResult,
    ) -> None:  # fmt: skip
        """Write the nearest centroids of `problem` to `out`. guess: int64 [image, run], any
        cluster, or -1; limit: float32 [image, run], an upper bound of the score of that one."""
        values = rows.values
        if more := round_rows(len(values)) - len(values):
            values = torch.nn.functional.pad(values, (0, 0, 0, more))
        _argmin(
            int8_product(values, columns.values).numpy(), rows.scale.numpy(),
            rows.residual.numpy(), columns.scale.numpy(), columns.norm.numpy(),
            columns.residual.numpy(), ArgminProblem._make(each.numpy() for each in problem),
            guess.numpy(), limit.numpy(), ArgminResult._make(each.numpy() for each in out),
        )  # fmt: skip


@compiled
def _argmin(
    products: np.ndarray, row_scale: np.ndarray, row_residual: np.ndarray,
    column_scale: np.ndarray, column_norm: np.ndarray, column_residual: np.ndarray,
    problem: ArgminProblem, guess: np.ndarray, limit: np.ndarray, out: ArgminResult,
) -> None:  # fmt: skip
    runs, k = np.uint64(problem.centroids.shape[0]), np.uint64(problem.centroids.shape[1])
    padded = (k + LANES - np.uint64(1)) // LANES * LANES
    # One row of each for a run: -2 scale, 2 norm, 2 residual, and the squares, infinite at the end
    scale, norm = np.zeros((runs, padded), np.float32), np.zeros((runs, padded), np.float32)
    residual = np.zeros((runs, padded), np.float32)
    squares = np.full((runs, padded), np.float32(np.inf))
    for run in range(runs):
        for c in range(k):
            at = run * k + c
            scale[run, c], norm[run, c] = -2 * column_scale[at], 2 * column_norm[at]
            residual[run, c], squares[run, c] = 2 * column_residual[at], problem.squares[at]
    score, least = np.empty(padded, np.float32), np.empty(LANES, np.float32)
    near, exact = np.empty(k, np.int64), np.empty(k)
    for image in range(np.uint64(len(problem.row))):
        step, rest = row_scale[image], row_residual[image]
        length = problem.norms[image] + rest
        for run in range(runs):
            off = problem.error[image, run]
            _lower_scores(
                image, run, run * k, products, step, rest, length, squares, scale, norm, residual,
                score, least,
            )  # fmt: skip
            own = guess[image, run]
            if own < 0:
                own = np.argmin(score[:k])
            loose = rest * norm[run, own] + length * residual[run, own]
            upper = min(limit[image, run], score[own] + 2 * loose + off)
            many, other = not_above(score, min(upper + off, MOST), least, near)
            found = own, upper, other - off
            if many > 1:
                found = refine(
                    own, many, upper, other - off, image, run, problem, score, near, exact
                )
            out.cluster[image, run], out.upper[image, run], out.lower[image, run] = found


@compiled
def _lower_scores(
    image: Any, run: Any, start: Any, products: np.ndarray, step: np.float32, rest: np.float32,
    length: np.float32, squares: np.ndarray, scale: np.ndarray, norm: np.ndarray,
    residual: np.ndarray, score: np.ndarray, least: np.ndarray,
) -> None:  # fmt: skip
    """Write the lower end of each score of one run, but for the error of float32, and the lowest in
    each lane to `least`. products: int32 [column], of which those of the run begin at `start`."""
    for lane in range(LANES):
        least[lane] = np.inf
    for block in range(np.uint64(0), np.uint64(len(score)), LANES):
        for lane in range(LANES):
            c = block + lane
            product = step * (np.float32(products[image, start + c]) * scale[run, c])
            loose = rest * norm[run, c] + length * residual[run, c]
            low = squares[run, c] + product - loose
            score[c] = low
            least[lane] = low if low < least[lane] else least[lane]
