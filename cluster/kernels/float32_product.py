"""x yᵀ in float32 on a CPU, by the library that is faster at such a shape on this processor.

numpy and torch bring different BLAS libraries. Which one is faster depends on the processor, and on
whether there are few columns, where the product is as fast as x is read. So it is measured, once
for shapes of about equal size. Their rounding differs; callers rely on the bound alone.
"""

from collections.abc import Callable
from functools import cache
from time import perf_counter

import numpy as np
import torch

ROWS, TIMES = 512, 4  # of the product that is measured
# Larger numbers of columns and dims, in bits, are of one class: measuring takes milliseconds
MOST_COLUMNS, MOST_DIMS = 7, 10

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def float32_product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x yᵀ, float32 [row, column], of float32 x [row, dim] and y [column, dim]."""
    columns, dims = len(y).bit_length(), x.shape[1].bit_length()
    return _fastest(min(columns, MOST_COLUMNS), min(dims, MOST_DIMS))(x, y)


def _by_numpy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(x.numpy() @ y.numpy().T)


def _by_torch(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x @ y.T


@cache
def _fastest(columns: int, dims: int) -> Product:
    """For so many bits in the numbers of columns and dims. Threads that ask at once may each
    measure; any answer is right."""
    x = torch.from_numpy(np.ones((ROWS, 3 << dims >> 2), np.float32))
    y = torch.from_numpy(np.ones((max(1, 3 << columns >> 2), x.shape[1]), np.float32))
    ways: tuple[Product, ...] = (_by_numpy, _by_torch)
    shortest = dict.fromkeys(ways, float("inf"))
    for turn in range(1 + TIMES):
        for way in ways:
            begin = perf_counter()
            way(x, y)
            if turn:  # the first prepares
                shortest[way] = min(shortest[way], perf_counter() - begin)
    return min(ways, key=shortest.__getitem__)
