"""Norms of rows, and Euclidean distances to given centroids by differences: exact near 0."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.gpu.available import precision_of_rows
from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import fast_precision
from cluster.kernels.threads import on_cores
from cluster.vectors.rows import TILE

ROWS = 1024  # rows that a core processes at once


class RowStats(NamedTuple):
    """norm: float32 [image]; residual: float32 [image], an upper bound of MatmulPrecision.residual
    in the fast arithmetic of the device (on a GPU: precision_of_rows); block_sums: float64 [block
    of ROWS, dim]."""

    norm: torch.Tensor
    residual: torch.Tensor
    block_sums: torch.Tensor


def row_stats(x: torch.Tensor, bf16: torch.Tensor | None = None) -> RowStats:
    """Statistics of x [image, dim] in one read. If `bf16` is given, writes x to it as bfloat16."""
    n, dim = x.shape
    sums = torch.zeros(-(-n // ROWS), dim, dtype=torch.float64, device=x.device)
    if x.is_cuda:
        whole = n // ROWS
        sums[:whole] = x[: whole * ROWS].unflatten(0, (whole, ROWS)).sum(1, dtype=torch.float64)
        sums[whole:] = x[whole * ROWS :].sum(0, dtype=torch.float64)
        return RowStats(x.norm(dim=1), residuals(x), sums)
    norm, residual = torch.empty(2, n)
    precision = fast_precision(x.device)
    half = torch.empty(0, dim, dtype=torch.int16) if bf16 is None else bf16.view(torch.int16)
    arrays = tuple(each.numpy() for each in (x, norm, residual, sums, half))
    rounds = bool(precision.error) or bf16 is not None
    on_cores(lambda start: _row_stats(start, rounds, *arrays), range(0, n, ROWS))
    return RowStats(norm, residual, sums)


def residuals(x: torch.Tensor) -> torch.Tensor:
    """The residual of `row_stats` alone, float32 [image], of x [image, dim]."""
    if x.is_cuda:
        return precision_of_rows(x.device).residual(x)
    return row_stats(x).residual


def distances(x: torch.Tensor, centroids: torch.Tensor, cluster: torch.Tensor) -> torch.Tensor:
    """Distance of each row of x [image, dim] to its own centroid (`cluster`, int64 [image]) of
    centroids [cluster, dim]: float32 [image]."""
    if x.is_cuda:
        pieces = zip(x.split(ROWS * 16), cluster.split(ROWS * 16), strict=True)
        return torch.cat([centroids[own].sub_(some).norm(dim=1) for some, own in pieces])
    out = torch.empty(len(x))
    arrays = x.numpy(), centroids.numpy(), cluster.contiguous().numpy(), out.numpy()
    on_cores(lambda start: _distances(start, min(start + ROWS, len(x)), *arrays),
             range(0, len(x), ROWS))  # fmt: skip
    return out


def sum_of_squares(numbers: torch.Tensor, before: float) -> float:
    """The sum of squares of float32 [image], added to `before`; on a CPU in pieces that torch does
    not divide among threads, so that their number has no influence on the order."""
    if numbers.is_cuda:
        return before + float(numbers.double().square().sum())
    for some in numbers.split(TILE):
        before += float(some.double().square().sum())
    return before


@compiled
def _row_stats(
    start: int, rounds: bool, x: np.ndarray, norm: np.ndarray, residual: np.ndarray,
    sums: np.ndarray, half: np.ndarray,
) -> None:  # fmt: skip
    dim = np.uint64(x.shape[1])
    bits = np.empty(dim, np.int32)
    near = bits.view(np.float32)
    out = sums[start // ROWS]
    for image in range(start, min(start + ROWS, len(x))):
        row, square = x[image], 0.0
        for d in range(dim):
            square += np.float64(row[d]) * np.float64(row[d])
            out[d] += np.float64(row[d])
        norm[image], residual[image] = np.sqrt(square), 0
        if rounds:  # to the nearest bfloat16, ties to even
            whole = row.view(np.int32)
            for d in range(dim):
                odd = (whole[d] >> np.int32(16)) & np.int32(1)
                bits[d] = (whole[d] + np.int32(0x7FFF) + odd) & np.int32(-65536)
            square = 0.0
            for d in range(dim):
                apart = np.float64(row[d]) - np.float64(near[d])
                square += apart * apart
            residual[image] = np.sqrt(square)
        if len(half):
            for d in range(dim):
                half[image, d] = np.int16(bits[d] >> np.int32(16))


@compiled
def _distances(
    start: int, stop: int, x: np.ndarray, centroids: np.ndarray, cluster: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    for image in range(start, stop):
        square, own = 0.0, cluster[image]
        for d in range(x.shape[1]):
            apart = np.float64(x[image, d]) - np.float64(centroids[own, d])
            square += apart * apart
        out[image] = np.sqrt(square)
