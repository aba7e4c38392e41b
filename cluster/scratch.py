"""Arrays that may be larger than memory: past a size they are the pages of a file without a name.

What a graph of millions of images needs is written once and then read in order, many times. In
memory of its own a process would have to hold all of it; pages of a file the kernel writes out and
drops when it needs room, and reads again, in order, when they are asked for.
"""

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from cluster.errors import ClusterError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LIMIT = 64_000_000  # bytes up to which an array lies in memory

ROWS = 65_536  # that are copied at once


def scratch_array(shape: int | Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array to be written and read, of any content at first, freed as any other.

    A large one lies on the disk of the folder that TMPDIR names, else /var/tmp, and gives its room
    back in whatever way the process ends. ClusterError where that disk has none: it is reserved,
    where the file system can, since a full disk under written pages ends a process without a word.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(sizes) * np.dtype(dtype).itemsize
    if size <= LIMIT:
        return np.empty(sizes, dtype)
    folder = _folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), size)
            return np.asarray(np.memmap(file, dtype, "r+", shape=sizes))
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(folder).free
        raise ClusterError(
            f"{folder}: no room for {size / 1e9:.1f} GB of what is computed ({error.strerror}; "
            f"{free / 1e9:.1f} GB are free): make room, or let TMPDIR name a folder of another disk"
        ) from error


def _reserve(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    try:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in FULL:
            raise  # else a file system that cannot reserve


def _folder() -> str:
    """Where /tmp is memory, which is what there is too little of, /var/tmp is not."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):
        return "/var/tmp"
    return tempfile.gettempdir()


def taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The `rows` (int [row]) of an array, in an array that may be larger than memory."""
    out = scratch_array((len(rows), *array.shape[1:]), array.dtype)
    for low in range(0, len(rows), ROWS):
        out[low : low + ROWS] = array[rows[low : low + ROWS]]
    return out
