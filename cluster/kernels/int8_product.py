"""x yᵀ of numbers in 8 bits, exactly, on a CPU, and float32 vectors as such numbers.

Processors with VNNI multiply bytes up to four times as fast as float32, and read a quarter of the
memory. A vector x is s q + e: s = max |x| / 127, q of whole numbers from -127 to 127, |e| computed.
"""

from functools import cache
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.float32_product import float32_product
from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import ROUNDING
from cluster.kernels.threads import on_cores, on_one_core

LEVELS = 127
WIDTH = 64  # numbers of a row are padded to a multiple of
ROWS = 1024  # rows that a core converts at once
LEAST = 1e-30  # vectors whose largest number is below are as 0
# A product whose time is measured, how often, and how much faster it has to be than float32
MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_DIMS, MEASURED_TIMES, FASTER = 512, 128, 768, 6, 1.6


class Int8Rows(NamedTuple):
    """values: int8 [row, padded dim]; scale: float32 [row]; residual: float32 [row], at least the
    norm of x - scale · values."""

    values: torch.Tensor
    scale: torch.Tensor
    residual: torch.Tensor


def empty_int8_rows(n: int, dim: int) -> Int8Rows:
    """Uninitialised, but for the padding."""
    padded = -(-dim // WIDTH) * WIDTH
    values = torch.from_numpy(np.empty((n, padded), np.int8))
    values[:, dim:] = 0
    return Int8Rows(values, *torch.empty(2, n))


def write_int8_rows(x: torch.Tensor, out: Int8Rows) -> None:
    """x: float32 [row, dim]."""
    arrays = x.numpy(), *(each.numpy() for each in out)
    on_cores(
        lambda start: _write(start, min(start + ROWS, len(x)), *arrays), range(0, len(x), ROWS)
    )


def int8_product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x yᵀ, int32 [row, column], of int8 x [row, dim] and y [column, dim]. Exact only where
    int8_is_fast() and the dims are below 100,000."""
    return torch._int_mm(x, y.T)


@cache
def int8_is_fast() -> bool:
    """Whether this processor multiplies bytes faster than float32, by more than the conversion
    costs, and exactly: without VNNI sums of two products are cut at 16 bits. Measured, which takes
    some milliseconds."""
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
    start: int, stop: int, x: np.ndarray, values: np.ndarray, scale: np.ndarray,
    residual: np.ndarray,
) -> None:  # fmt: skip
    dim = np.uint64(x.shape[1])
    length = np.sqrt(np.float32(dim))
    bits, size = x.view(np.int32), np.empty(1, np.int32)
    rounding = np.float32(1) + np.float32(ROUNDING) * length
    off = np.float32(LEVELS * 2.0**-21) * length  # the rounding of `number`, step and per
    for row in range(start, stop):
        most = np.int32(0)
        for d in range(dim):  # the bits of positive numbers are in their order, and vectorise
            most = max(most, bits[row, d] & np.int32(0x7FFFFFFF))
        size[0] = most
        largest = size.view(np.float32)[0]
        if largest < LEAST:
            values[row, :dim], scale[row] = 0, 0
            residual[row] = largest * length * rounding
            continue
        step, per = largest / np.float32(LEVELS), np.float32(LEVELS) / largest
        total = np.float32(0)
        for d in range(dim):
            number = x[row, d] * per
            whole = np.rint(number)
            values[row, d] = np.int8(whole)
            total += (number - whole) * (number - whole)
        scale[row] = step
        residual[row] = step * rounding * (np.sqrt(total) + off)
