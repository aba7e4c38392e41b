"""The rows of one side of a product on a CPU, in the numbers that are multiplied.

float32, bfloat16 where the processor is fast at it, or bytes (cluster.kernels.int8_product).
"""

from typing import NamedTuple

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
    """x: float32 [row, dim]."""

    x: torch.Tensor

    def product(self, rows: slice, other: "Float32") -> Products:
        return Products(float32_product(self.x[rows], other.x))

    def error(self, other: "Float32", dim: int) -> np.ndarray:
        """The margin of the search covers it: zeros, float32 [row]."""
        return np.zeros(len(self.x), np.float32)


class Rounded(NamedTuple):
    """Rows of less precision. norm: float32 [row]; residual: float32 [row], of what is left out."""

    numbers: torch.Tensor | Int8Rows
    norm: torch.Tensor
    residual: torch.Tensor

    def product(self, rows: slice, other: "Rounded") -> Products:
        if isinstance(self.numbers, Int8Rows):
            scales = self.numbers.scale[rows].numpy(), other.numbers.scale.numpy()
            values = int8_product(self.numbers.values[rows], other.numbers.values)
            return Products(values, scales)
        return Products(self.numbers[rows] @ other.numbers.T)

    def error(self, other: "Rounded", dim: int) -> np.ndarray:
        """Of the products with `other`, besides the rounding of results to bfloat16: float32
        [row]."""
        residual, longest = other.residual.max(), other.norm.max()
        error = self.residual * longest + (self.norm + self.residual) * residual
        return (error + ROUNDING * dim**0.5 * self.norm * longest + TINY).numpy()


def bfloat16(x: torch.Tensor) -> Rounded:
    """x with zeros up to a multiple of DIMS."""
    x = torch.nn.functional.pad(x, (0, -x.shape[1] % DIMS))
    stats = row_stats(x, bf16 := empty_bf16(*x.shape))
    return Rounded(bf16, stats.norm, stats.residual)


def int8(x: torch.Tensor) -> Rounded:
    write_int8_rows(x, rows := empty_int8_rows(*x.shape))
    return Rounded(rows, x.norm(dim=1), rows.residual)


Operand = Float32 | Rounded
OPERANDS = {"": Float32, "bf16": bfloat16, "int8": int8}
