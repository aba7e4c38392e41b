"""x yᵀ of numbers in 8 bits, exactly, on a CPU, and float32 vectors as such numbers.

Processors with VNNI multiply bytes up to four times as fast as float32, and read a quarter of the
memory. A vector is rotated first, which keeps inner products, so that no number is far larger than
the others: signs at random, then a Hadamard transform (as in QuIP#, arXiv:2402.04396, but in blocks
of 64 numbers, which takes less time than to read x). Of Rx = s q + e, q are whole numbers from -127
to 127, s = max |Rx| / 127, and |e| is computed.
"""

from functools import cache
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.float32_product import float32_product
from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import ROUNDING, MatmulPrecision, fast_precision
from cluster.kernels.threads import on_cores, on_one_core

LEVELS = 127
BLOCK = 64  # numbers that are rotated together; rows are padded to a multiple
ROWS = 1024  # rows that a core converts at once
LEAST = 1e-30  # vectors whose largest number is below are as 0
# A product whose time is measured, how often, and how much faster it has to be than float32
MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_DIMS, MEASURED_TIMES, FASTER = 512, 128, 768, 6, 1.6


class Int8Rows(NamedTuple):
    """Rotated vectors. values: int8 [row, padded dim]; scale: float32 [row]; residual: float32
    [row], at least the norm of Rx - scale · values."""

    values: torch.Tensor
    scale: torch.Tensor
    residual: torch.Tensor


def empty_int8_rows(n: int, dim: int) -> Int8Rows:
    """Uninitialised."""
    values = torch.from_numpy(np.empty((n, -(-dim // BLOCK) * BLOCK), np.int8))
    return Int8Rows(values, *torch.empty(2, n))


def write_int8_rows(x: torch.Tensor, out: Int8Rows) -> None:
    """Write float32 x [row, dim] to `out`."""
    signs, n = random_signs(x.shape[1]), len(x)
    arrays = x.numpy(), signs, *(each.numpy() for each in out)
    on_cores(lambda start: _write(start, min(start + ROWS, n), *arrays), range(0, n, ROWS))


def fastest_precision(device: str) -> MatmulPrecision:
    """The fastest arithmetic of a search on `device`: fast_precision, or else bytes."""
    precision = fast_precision(device)
    if not precision.error and device == "cpu" and int8_is_fast():
        # The error depends on the rows: those who multiply bound it by Int8Rows.residual
        return MatmulPrecision(1 / LEVELS, "int8", None)
    return precision


@cache
def random_signs(dim: int) -> np.ndarray:
    """1 or -1, float32 [dim], the same for all vectors."""
    return np.random.default_rng(0).choice(np.array([-1, 1], np.float32), dim)


def int8_product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x yᵀ, int32 [row, column], of int8 x [row, dim] and y [column, dim]. Exact only where
    int8_is_fast() and the dims are below 100,000."""
    return torch._int_mm(x, y.T)


@cache
def int8_is_fast() -> bool:
    """Whether this processor multiplies bytes faster than float32, by more than the conversion
    costs, and exactly: without VNNI sums of two products are saturated at 16 bits. Measured, which
    takes some milliseconds."""
    if not (hasattr(torch, "_int_mm") and torch.backends.mkldnn.is_available()):
        return False
    return on_one_core(lambda: _is_exact() and _speed_up() > FASTER)


def _is_exact() -> bool:
    """By the largest sums that there are."""
    most = torch.full((MEASURED_COLUMNS, MEASURED_DIMS), LEVELS, dtype=torch.int8)
    return all(
        bool((int8_product(x, most) == sign * LEVELS**2 * MEASURED_DIMS).all())
        for sign, x in ((1, most), (-1, -most))
    )


def _speed_up() -> float:
    """How much faster it is than in float32: by the shortest of several times, in turns."""
    x, y = torch.ones(MEASURED_ROWS, MEASURED_DIMS), torch.ones(MEASURED_COLUMNS, MEASURED_DIMS)
    ways = (float32_product, x, y), (int8_product, x.to(torch.int8), y.to(torch.int8))
    shortest = [float("inf")] * len(ways)
    for turn in range(1 + MEASURED_TIMES):
        for at, (product, left, right) in enumerate(ways):
            begin = perf_counter()
            product(left, right)
            if turn:  # the first prepares
                shortest[at] = min(shortest[at], perf_counter() - begin)
    return shortest[0] / shortest[1]


@compiled
def _write(
    start: int, stop: int, x: np.ndarray, signs: np.ndarray, values: np.ndarray, scale: np.ndarray,
    residual: np.ndarray,
) -> None:  # fmt: skip
    dim, padded = np.uint64(x.shape[1]), np.uint64(values.shape[1])
    length = np.sqrt(np.float32(padded))
    rounding = np.float32(1) + np.float32(ROUNDING) * length
    off = np.float32(LEVELS * 2.0**-19) * length  # rounding of the rotation and `number`
    rotated, size = np.zeros(padded, np.float32), np.empty(1, np.int32)
    bits = rotated.view(np.int32)
    for row in range(start, stop):
        for d in range(dim):
            rotated[d] = signs[d] * x[row, d]
        rotated[dim:] = 0
        _hadamard(rotated)
        most = np.int32(0)
        for d in range(padded):  # the bits of positive numbers are in their order, and vectorise
            most = max(most, bits[d] & np.int32(0x7FFFFFFF))
        size[0] = most
        largest = size.view(np.float32)[0]
        if largest < LEAST:
            values[row], scale[row] = 0, 0
            residual[row] = largest * length * rounding
            continue
        per = np.float32(LEVELS) / largest
        step = largest / np.float32(LEVELS) / np.float32(BLOCK**0.5)  # as if R were orthonormal
        total = np.float32(0)
        for d in range(padded):
            number = rotated[d] * per
            whole = np.rint(number)
            values[row, d] = np.int8(whole)
            total += (number - whole) * (number - whole)
        scale[row] = step
        residual[row] = step * rounding * (np.sqrt(total) + off)


@compiled
def _hadamard(x: np.ndarray) -> None:
    """Transform each group of BLOCK numbers at equal distances, times √BLOCK: the distances are the
    same for all, so that neighbours are worked on together."""
    half = np.uint64(len(x)) // np.uint64(BLOCK)
    while half < np.uint64(len(x)):
        for begin in range(np.uint64(0), np.uint64(len(x)), 2 * half):
            for d in range(half):
                left, right = x[begin + d], x[begin + half + d]
                x[begin + d], x[begin + half + d] = left + right, left - right
        half *= np.uint64(2)
