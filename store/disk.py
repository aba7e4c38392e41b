"""What the store asks of a file system: one writer at a time, whole files or none, a clear word
when it is full. Where a file system lacks locks, preallocation or the like, it works without."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from store.errors import StoreError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_HERE = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENODEV, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[int]:
    """A descriptor to write a new file to, which takes the place of `path` when the block ends.

    A kill or an exception leaves `path` as it was. Raises StoreError when another process writes
    the same file, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    descriptor = claim(part)
    try:
        with room(path):
            yield descriptor
            publish(part, path, descriptor)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def claim(part: Path) -> int:
    """A descriptor of the file `part`, made if need be, that no other process holds. It is free
    again when the descriptor is closed, by a kill too. Raises StoreError while another has it."""
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, fcntl.LOCK_EX, part)
            if os.path.samestat(os.fstat(descriptor), os.stat(part)):
                return descriptor
        except FileNotFoundError:
            pass  # its writer published it between our two calls: it is `part` no more
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def publish(part: Path, path: Path, claimed: int | None = None) -> None:
    """Make the finished file `part` durable under its final name."""
    _sync(part, os.O_RDWR)
    if claimed is not None:
        _lock(claimed, fcntl.LOCK_SH, part)  # HDF5's readers take a shared lock too
    os.replace(part, path)
    try:
        _sync(path.parent, os.O_RDONLY)  # the new name itself
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise


def reserve(descriptor: int, size: int) -> None:
    """Give a file `size` bytes, zeros where it had none: a full disk is found now, not in hours."""
    os.ftruncate(descriptor, size)
    if size and hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise


def write_at(descriptor: int, data: memoryview, at: int) -> None:
    """Write all of `data` at the offset `at`."""
    data = data.cast("B")
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


@contextlib.contextmanager
def room(path: Path) -> Iterator[None]:
    """Turn a full disk or quota into one clear line about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise StoreError(
            f"{path}: no room on the disk ({error.strerror}): make room and run again; what was "
            "finished is kept"
        ) from error


def _lock(descriptor: int, kind: int, part: Path) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        path = part.with_suffix("")
        raise StoreError(f"{path}: another process is writing it; wait for it or stop it") from None
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
