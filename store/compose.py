"""Make an HDF5 file: composed in memory, then written by ourselves.

When a disk is full, the HDF5 library ends in pages of traceback or a segmentation fault; so it
never writes to one. The file has the format of HDF5 1.8, in which all structure is checksummed:
reading a flipped byte in the older format, h5py's default, can crash the process. No time of day
goes into it, so equal content gives equal bytes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np

from store.disk import reserve, write_at

PAGE = 1 << 16
LARGE = 1 << 22  # bytes
ALIGNED = 4096  # bytes: arrays of this size or more start at a multiple of it, good to memory-map


class Memory:
    """A file in memory, as h5py wants one; what was never written takes no room. Of arrays that are
    LARGE all but the ends goes straight to `descriptor`, so that nothing holds them twice."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._pages = descriptor, dict[int, bytearray]()
        self._at = self._size = 0
        self._error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def truncate(self, size: int) -> None:
        self._size = size

    def write(self, data: memoryview) -> int:
        data = memoryview(data).cast("B")
        done = 0
        for page, low, high in _pages(self._at, len(data)):
            if len(data) >= LARGE and high - low == PAGE:
                self._write_through(data[done : done + PAGE], page * PAGE)
            else:
                whole = self._pages.setdefault(page, bytearray(PAGE))
                whole[low:high] = data[done : done + high - low]
            done += high - low
        self._at += done
        self._size = max(self._size, self._at)
        return done

    def _write_through(self, data: memoryview, at: int) -> None:
        """HDF5 is not to see an error: it is raised when the file is written."""
        try:
            if not self._error:
                write_at(self._descriptor, data, at)
        except OSError as error:
            self._error = error

    def readinto(self, data: memoryview) -> int:
        data = memoryview(data).cast("B")
        done = 0
        for page, low, high in _pages(self._at, len(data)):
            whole = self._pages.get(page, bytes(PAGE))
            data[done : done + high - low] = whole[low:high]
            done += high - low
        self._at += done
        return done

    def finish(self) -> None:
        """Make it the content of the open file. OSError when the disk has no room."""
        if self._error:
            raise self._error
        reserve(self._descriptor, self._size)
        for page, whole in sorted(self._pages.items()):
            start = page * PAGE
            write_at(self._descriptor, memoryview(whole)[: max(0, self._size - start)], start)


def _pages(at: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Page, and from where to where in it, for each page of `count` bytes from `at` on."""
    while count:
        page, low = divmod(at, PAGE)
        high = min(PAGE, low + count)
        yield page, low, high
        at, count = at + high - low, count - (high - low)


@contextmanager
def composed(descriptor: int) -> Iterator[h5py.File]:
    """An empty HDF5 file to fill; it is written to `descriptor` when the block ends without error.
    OSError when the disk has no room."""
    os.ftruncate(descriptor, 0)
    memory = Memory(descriptor)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V110)  # 1.10: virtual datasets
    access.set_alignment(ALIGNED, ALIGNED)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, memory)
    with h5py.File(h5py.h5f.create(b"memory", h5py.h5f.ACC_TRUNC, creation, access)) as file:
        yield file
    memory.finish()


def add_array(file: h5py.File, name: str, array: np.ndarray) -> h5py.Dataset:
    """Add `array` as the contiguous dataset `name`, with the groups that the name goes through."""
    group = name.rpartition("/")[0]
    if group and group not in file:
        plist = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        plist.set_obj_track_times(False)
        h5py.h5g.create(file.id, group.encode(), gcpl=plist)
    return file.create_dataset(name, data=array, track_times=False)


def add_room(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type | str) -> None:
    """Add a contiguous dataset of zeros, allocated but not written: it costs no memory here."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)
    space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(np.dtype(dtype))
    h5py.h5d.create(file.id, name.encode(), kind, space, plist)


def add_union(
    file: h5py.File,
    name: str,
    sources: list[tuple[str, int]],
    tail: tuple[int, ...],
    dtype: type | str,
) -> None:
    """Add a virtual dataset over the array `name` of other files (file name, number of rows)."""
    total = h5py.h5s.create_simple((sum(count for _, count in sources), *tail))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    start = 0
    for source, count in sources:
        there, here = h5py.h5s.create_simple((count, *tail)), total.copy()
        here.select_hyperslab((start, *(0 for _ in tail)), (count, *tail))
        plist.set_virtual(here, source.encode(), name.encode(), there)
        start += count
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), total, plist)
