"""The bound on rounding holds for tensor cores, which truncate: emulated here, step by step.

A step aligns a few products with the sum so far, keeps one bit below the last of the largest of
them, cuts the rest off, adds, and cuts the sum to the 24 bits of a float32.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from like_gpu import TF32_WAY, cut

from cluster.kernels.low_precision import ROUNDING, full_precision, fused_precision

STEPS = {"tf32": 4, "bf16": 8}  # products in a step: the fewest of any GPU that has it
PRECISIONS = {"tf32": TF32_WAY, "bf16": fused_precision()}


def truncated(x: np.ndarray, last_bit: np.ndarray) -> np.ndarray:
    return np.trunc(x / last_bit) * last_bit


def bit_of(largest: np.ndarray, bits: int) -> np.ndarray:
    """The value of the last of so many bits of a number as large."""
    return np.exp2(np.floor(np.log2(np.maximum(largest, 1e-300))) - (bits - 1))


def tensor_core(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
    """x·y of rows [row, dim]."""
    total = np.zeros((len(x), 1))
    for at in range(0, x.shape[1], step):
        terms = np.concatenate([total, x[:, at : at + step] * y[:, at : at + step]], 1)
        bit = bit_of(np.abs(terms).max(1, keepdims=True), 25)
        total = truncated(terms, bit).sum(1, keepdims=True)
        total = truncated(total, bit_of(np.abs(total), 24))
    return total[:, 0]


def operands(x: np.ndarray, precision: str) -> np.ndarray:
    there = torch.from_numpy(x)
    near = cut(there) if precision == "tf32" else there.bfloat16().float()
    return near.numpy().astype(np.float64)


def random(dim: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, dim))


def positive(dim: int) -> np.ndarray:
    return np.abs(random(dim))


def one_large(dim: int) -> np.ndarray:
    """All terms but the first lie below the last bit of the sum, and are lost."""
    x = np.full((4, dim), 0.99 * 2.0**-12)
    x[:, 0] = 1
    return x


@pytest.mark.parametrize("precision", STEPS)
@pytest.mark.parametrize("dim", [96, 768, 8192])
@pytest.mark.parametrize("make", [random, positive, one_large])
def test_products_are_within_their_bound(
    make: Callable[[int], np.ndarray], dim: int, precision: str
):
    x, way = make(dim).astype(np.float32), PRECISIONS[precision]
    y = x[::-1].copy()
    found = tensor_core(operands(x, precision), operands(y, precision), STEPS[precision])
    off = np.abs(found - (x.astype(np.float64) * y).sum(1))
    length = torch.from_numpy(x).norm(dim=1).numpy(), torch.from_numpy(y).norm(dim=1).numpy()
    rest = [way.residual(torch.from_numpy(each)).numpy() for each in (x, y)]
    bound = rest[0] * length[1] + (length[0] + rest[0]) * rest[1]
    assert (off <= bound + way.rounding(dim) * length[0] * length[1]).all()


@pytest.mark.parametrize("precision", STEPS)
def test_a_random_walk_is_no_bound_for_what_is_truncated(precision: str):
    """But: it is for float32 products, which round."""
    dim = 8192
    x = operands(one_large(dim).astype(np.float32), precision)
    lost = np.abs(tensor_core(x, x, STEPS[precision]) - (x * x).sum(1)) / (x * x).sum(1)
    assert ROUNDING * dim**0.5 < lost.max() <= PRECISIONS[precision].rounding(dim)
    assert full_precision("cuda").rounding(dim) == ROUNDING * dim**0.5
