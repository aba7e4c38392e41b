"""Features, labels and ids that other programs wrote: npy, npz, parquet, HDF5 and torch files.

A source is `FILE` or `FILE:KEY` for a file of several arrays. Nothing is unpickled: numpy with
`allow_pickle=False`, torch with `weights_only=True`.
"""

import difflib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from store import parquet
from store.errors import StoreError

BLOCK = 65_536
SUFFIXES = (".npy", ".npz", ".parquet", ".h5", ".hdf5", ".pt", ".pth")


class Matrix(NamedTuple):
    """Vectors read block by block: `blocks()` gives arrays [image, dim] in order."""

    rows: int
    dim: int
    blocks: Callable[[], Iterator[np.ndarray]]


def open_matrix(source: str) -> Matrix:
    """The features [image, dim] of `source`. Raises StoreError when there are none, or several."""
    path, key = _split(source)
    if path.suffix.lower() == ".parquet":
        return _parquet_matrix(path, key)
    array = _choose(path, key, _arrays(path), ndim=2)
    rows, dim = array.shape
    if not rows or not dim or array.dtype.kind not in "fiub":
        raise StoreError(
            f"{source}: {rows} x {dim} of {array.dtype}, expected numbers [image, dim]"
        )

    def blocks() -> Iterator[np.ndarray]:
        for low in range(0, rows, BLOCK):
            with _readable(path):
                block = np.asarray(array[low : low + BLOCK])
            yield block

    return Matrix(rows, dim, blocks)


def read_column(source: str) -> np.ndarray:
    """One value an image ([image]; labels, ids, splits): numbers or text; text, "" where one is
    missing. Raises StoreError when there is no such column, or several."""
    path, key = _split(source)
    if path.suffix.lower() == ".parquet":
        with _readable(path):
            names = parquet.column_names(path, vectors=False)
            return parquet.read_values(path, _name(path, key, names))
    column = _choose(path, key, _arrays(path), ndim=1)
    with _readable(path):
        if hasattr(column, "asstr") and column.dtype.kind in "SO":  # text in HDF5
            return column.asstr("utf-8")[()].astype(str)
        array = np.asarray(column)
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def source_path(source: str) -> Path:
    """The file of a source `FILE` or `FILE:KEY`, there or not."""
    path = Path(source).expanduser()
    if not path.exists() and ":" in source:
        path = Path(source.rpartition(":")[0]).expanduser()
    return path


def _split(source: str) -> tuple[Path, str | None]:
    path = source_path(source)
    key = source.rpartition(":")[2] if path != Path(source).expanduser() else None
    if not path.is_file():
        raise StoreError(f"no file {path}; write FILE, or FILE:KEY for one of several arrays in it")
    if path.suffix.lower() not in SUFFIXES:
        raise StoreError(
            f"{path}: cannot read {path.suffix or 'this'}; known: {' '.join(SUFFIXES)}"
        )
    return path, key


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Each library has exceptions of its own for a broken file; a user sees one line."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read ({reason})") from error


def _arrays(path: Path) -> dict[str, Any]:
    """Everything array-like in a file, by name; large ones stay on the disk where they can."""
    suffix = path.suffix.lower()
    with _readable(path):
        if suffix == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        if suffix == ".npz":
            return _npz_arrays(path)
        return _hdf5_arrays(path) if suffix in (".h5", ".hdf5") else _torch_arrays(path)


def _npz_arrays(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            raw = BytesIO(file.read(name))  # whole, so that its checksum is looked at
            with suppress(ValueError):  # one of Python objects must not hide the others
                array = np.lib.format.read_array(raw, allow_pickle=False)
                found[name.removesuffix(".npy")] = array
    return found


def _torch_arrays(path: Path) -> dict[str, Any]:
    import torch

    mappable = zipfile.is_zipfile(path)  # the format of torch 1.5 and before is not
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    named = found if isinstance(found, dict) else {"": found}
    tensors = {str(k): v.detach() for k, v in named.items() if isinstance(v, torch.Tensor)}
    dense = {k: v.resolve_conj() for k, v in tensors.items() if v.layout == torch.strided}
    # numpy has no bfloat16
    return {k: (v.float() if v.dtype == torch.bfloat16 else v).numpy() for k, v in dense.items()}


def _hdf5_arrays(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.shape:  # not a scalar, not an empty one
            found[name] = node

    # The file stays open: its datasets are read block by block.
    h5py.File(path, "r").visititems(visit)
    return found


def _choose(path: Path, key: str | None, arrays: dict[str, Any], ndim: int) -> Any:
    fit = [name for name, array in arrays.items() if len(array.shape) == ndim]
    return arrays[_name(path, key, fit)]


def _name(path: Path, key: str | None, fit: list[str]) -> str:
    if key is None and len(fit) == 1:
        return fit[0]
    if key is not None and key.strip("/") in fit:
        return key.strip("/")
    asked = f"no array '{key}'" if key is not None else "not one array alone"
    close = difflib.get_close_matches(key or "", fit, 1)
    meant = f"did you mean {path}:{close[0]}? " if close else ""
    raise StoreError(
        f"{path}: {asked} that fits; {meant}fitting: {', '.join(fit) or 'none'}; write {path}:KEY "
        "(arrays of Python objects are never read)"
    )


def _parquet_matrix(path: Path, key: str | None) -> Matrix:
    with _readable(path):
        column = _name(path, key, parquet.column_names(path, vectors=True))
        rows, dim = parquet.shape(path, column)

    def blocks() -> Iterator[np.ndarray]:
        with _readable(path):
            yield from parquet.read_vectors(path, column, BLOCK, dim)

    return Matrix(rows, dim, blocks)
