"""Arrays that may be larger than memory, for the time of a computation."""

import math
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

IN_MEMORY = 1 << 26  # bytes


def scratch_array(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An array to fill: in memory, or, if it is larger than IN_MEMORY, mapped from a temporary file
    without a name ($TMPDIR), which goes with the array. OSError when the disk has no room."""
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)
