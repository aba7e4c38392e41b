"""Arrays that may be larger than memory, for the time of a computation."""

import errno
import math
import os
from tempfile import TemporaryFile, gettempdir

import numpy as np
import numpy.typing as npt

IN_MEMORY = 1 << 26  # bytes
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def scratch_array(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An array to fill: in memory, or, if it is larger than IN_MEMORY, mapped from a temporary file
    without a name ($TMPDIR), which goes with the array. OSError when the disk has no room."""
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with TemporaryFile() as file:
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would be a signal
        except OSError as error:
            if error.errno in FULL:
                said = f"no room for {size / 1e9:.1f} GB: make room, or let TMPDIR name another"
                raise OSError(error.errno, said, gettempdir()) from error
        return np.memmap(file, dtype, "w+", shape=shape)
