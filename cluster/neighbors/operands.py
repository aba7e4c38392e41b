"""The rows of one side of a product on a CPU, in the numbers that are multiplied.

float32, bfloat16 where the processor is fast at it, or bytes (cluster.kernels.int8_product).
"""

from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.bf16_rows import empty_bf16
from cluster.kernels.float32_product import float32_product
from cluster.kernels.int8_product import Int8Rows, empty_int8_rows, int8_product, write_int8_rows
from cluster.kernels.low_precision import ROUNDING
from cluster.kernels.norms import row_stats
from cluster.kernels.topk_cpu import Products

DIMS = 32  # bfloat16 products are fast with multiples of so many dims
TINY = 2.0**-120  # more than the error of numbers that are nearly 0


class Float32(NamedTuple):
    """numbers: float32 [row, dim]."""

    numbers: torch.Tensor

    def product(self, rows: slice, other: "Float32") -> Products:
        """Of some rows with all rows of `other`."""
        return Products(float32_product(self.numbers[rows], other.numbers))

    def error(self, other: "Float32", dim: int) -> np.ndarray:
        """Zeros, float32 [row]: the margin of the search covers it."""
        return np.zeros(len(self.numbers), np.float32)


class BFloat16(NamedTuple):
    """numbers: bfloat16 [row, padded dim]; norm, residual: float32 [row], of the rows, and of what
    rounding takes from them."""

    numbers: torch.Tensor
    norm: torch.Tensor
    residual: torch.Tensor

    def product(self, rows: slice, other: "BFloat16") -> Products:
        return Products(self.numbers[rows] @ other.numbers.T)

    def error(self, other: "BFloat16", dim: int) -> np.ndarray:
        """By how much products may be off, besides the rounding of results: float32 [row]."""
        return _error(self.norm, self.residual, other.norm, other.residual, dim)


class Int8(NamedTuple):
    """rows: of the operand; norm: float32 [row]."""

    rows: Int8Rows
    norm: torch.Tensor

    def product(self, rows: slice, other: "Int8") -> Products:
        scales = self.rows.scale[rows].numpy(), other.rows.scale.numpy()
        return Products(int8_product(self.rows.values[rows], other.rows.values), scales)

    def error(self, other: "Int8", dim: int) -> np.ndarray:
        """By how much products may be off: float32 [row]."""
        return _error(self.norm, self.rows.residual, other.norm, other.rows.residual, dim)


def operand(x: torch.Tensor, precision: str) -> Any:
    """float32 x [row, dim] as it is multiplied in this precision (MatmulPrecision)."""
    if precision == "bf16":
        x = torch.nn.functional.pad(x, (0, -x.shape[1] % DIMS))
        stats = row_stats(x, bf16 := empty_bf16(*x.shape))
        return BFloat16(bf16, stats.norm, stats.residual)
    if precision == "int8":
        write_int8_rows(x, rows := empty_int8_rows(*x.shape))
        return Int8(rows, x.norm(dim=1))
    return Float32(x)


def _error(
    norm: torch.Tensor, residual: torch.Tensor, norms: torch.Tensor, residuals: torch.Tensor,
    dim: int,
) -> np.ndarray:  # fmt: skip
    """Of the products of rows with any of others."""
    longest, most = norms.max(), residuals.max()
    error = residual * longest + (norm + residual) * most
    return (error + ROUNDING * dim**0.5 * norm * longest + TINY).numpy()
