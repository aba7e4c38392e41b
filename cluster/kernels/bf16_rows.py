"""Memory for a cached bfloat16 copy of rows, so that CPU matrix products skip the conversion."""

import numpy as np
import torch


def empty_bf16(n: int, dim: int) -> torch.Tensor:
    """Uninitialised bfloat16 [image, dim], aligned to 64 bytes: unaligned, products take twice as
    long. Numpy allocates it, since it asks for large pages, which are faster to obtain."""
    numbers = np.empty(n * dim + 32, np.int16)
    skip = -numbers.ctypes.data % 64 // 2
    return torch.from_numpy(numbers[skip : skip + n * dim]).view(torch.bfloat16).view(n, dim)
