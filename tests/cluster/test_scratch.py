"""Arrays of a file without a name: as any other, given back with them, and refused in one line."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cluster import ClusterError, scratch


def mapped() -> int:
    """Deleted files of which this process has pages."""
    return Path("/proc/self/maps").read_text().count("(deleted)")


def own_memory() -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line
    )
    return int(line.split()[1]) * 1024


needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only")


@pytest.mark.parametrize("limit", [0, scratch.LIMIT])
@pytest.mark.parametrize(("shape", "dtype"), [((3, 4), np.float64), (7, np.int32), ([0, 5], "u2")])
def test_it_is_an_array_as_any_other(limit: int, shape, dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scratch, "LIMIT", limit)
    out = scratch.scratch_array(shape, dtype)
    plain = np.empty(shape, dtype)
    assert (type(out), out.shape, out.dtype) == (np.ndarray, plain.shape, plain.dtype)
    assert out.flags.writeable
    assert out.flags.c_contiguous
    out[:] = plain[:] = np.arange(out.size).reshape(out.shape)
    np.testing.assert_array_equal(out, plain)


@needs_proc
def test_a_large_one_is_no_memory_of_the_process_and_goes_with_the_last_view_of_it():
    before, files = own_memory(), mapped()
    out = scratch.scratch_array((40, 1_000_000), np.float64)
    out[:] = 1
    assert own_memory() - before < 50e6 < out.nbytes
    assert mapped() == files + 1
    view = out[3:5]
    del out
    assert view.sum() == 2_000_000
    del view
    assert mapped() == files


@needs_proc
def test_it_lies_where_tmpdir_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    out = scratch.scratch_array(scratch.LIMIT + 1, np.uint8)
    assert f" {tmp_path}/" in Path("/proc/self/maps").read_text()
    assert list(tmp_path.iterdir()) == []
    del out
    assert f" {tmp_path}/" not in Path("/proc/self/maps").read_text()


def test_rows_are_taken_as_numpy_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scratch, "ROWS", 3)
    x = np.arange(40).reshape(8, 5)
    rows = np.array([7, 0, 0, 3, 5, 1, 6])
    np.testing.assert_array_equal(scratch.taken(x[:, :2], rows), x[rows, :2])
    assert scratch.taken(x, rows[:0]).shape == (0, 5)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing is reserved")
def test_a_full_disk_is_said_at_once():
    with pytest.raises(ClusterError, match=r"no room for 1125899.9 GB .*TMPDIR"):
        scratch.scratch_array(2**50, np.uint8)
