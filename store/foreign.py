"""Features, labels and ids that other programs wrote: npy, npz, parquet, HDF5 and torch files.

A source is `FILE` or `FILE:KEY` for a file of several arrays, `FILE:PREFIX*` for a table with a
column a dim. Nothing is unpickled: numpy with
`allow_pickle=False`, torch with `weights_only=True`.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from store import parquet
from store.choice import choose, name_of
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
    array = choose(path, key, _arrays(path), ndim=2)
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
            kinds = parquet.column_kinds(path)
            return parquet.read_values(path, name_of(path, key, names, kinds))
    column = choose(path, key, _arrays(path), ndim=1)
    with _readable(path):
        return _values(column, slice(None))


def read_texts(source: str) -> Iterator[str]:
    """The column of `read_column` as text, one value after the other: all may be more than memory
    holds. Of parquet they are read at once."""
    path, key = _split(source)
    if path.suffix.lower() == ".parquet":
        yield from read_column(source).astype(str).tolist()
        return
    column = choose(path, key, _arrays(path), ndim=1)
    for low in range(0, len(column), BLOCK):
        with _readable(path):
            texts = _values(column, slice(low, low + BLOCK)).astype(str).tolist()
        yield from texts


def _values(column: Any, rows: slice) -> np.ndarray:
    """Some values of an array in a file; bytes are text."""
    if hasattr(column, "asstr") and column.dtype.kind in "SO":  # text in HDF5
        return column.asstr("utf-8")[rows].astype(str)
    array = np.asarray(column[rows])
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
        text = path.suffix.lower() in (".csv", ".tsv", ".txt")
        way = f"; save the table as parquet and write {path.stem}.parquet:COLUMN" if text else ""
        raise StoreError(
            f"{path}: cannot read {path.suffix or 'this'}; known: {' '.join(SUFFIXES)}{way}"
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
        if "Python objects" in reason:
            reason = "it holds Python objects; save texts as array.astype(str)"
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
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except Exception as error:
        if "weights_only" not in str(error):
            raise
        raise StoreError(
            f"{path}: holds other Python objects than tensors, such as numpy arrays, which are "
            "never unpickled: save a dictionary of tensors, or an npz file"
        ) from error
    tensors = dict(_tensors(found))
    dense = {k: v.resolve_conj() for k, v in tensors.items() if v.layout == torch.strided}
    # numpy has no bfloat16
    return {k: (v.float() if v.dtype == torch.bfloat16 else v).numpy() for k, v in dense.items()}


def _tensors(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Those in dictionaries and lists, however deep, by a name such as train/features/0."""
    import torch

    if isinstance(found, torch.Tensor):
        yield name, found.detach()
    elif isinstance(found, dict | list | tuple):
        each = found.items() if isinstance(found, dict) else enumerate(found)
        for key, value in each:
            yield from _tensors(value, f"{name}/{key}".lstrip("/"))


def _hdf5_arrays(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.shape:  # not a scalar, not an empty one
            found[name] = node

    # The file stays open: its datasets are read block by block.
    h5py.File(path, "r").visititems(visit)
    return found


def _parquet_matrix(path: Path, key: str | None) -> Matrix:
    with _readable(path):
        kinds = parquet.column_kinds(path)
        wide = parquet.number_columns(path, key) if key and "*" in key else []
        if wide:
            rows, dim = parquet.count(path), len(wide)
        else:
            fit = parquet.column_names(path, vectors=True)
            column = name_of(path, key, fit, kinds, _wide_advice(path, fit))
            rows, dim = parquet.shape(path, column)

    def blocks() -> Iterator[np.ndarray]:
        with _readable(path):
            if wide:
                yield from parquet.read_numbers(path, wide, BLOCK)
            else:
                yield from parquet.read_vectors(path, column, BLOCK, dim)

    return Matrix(rows, dim, blocks)


def _wide_advice(path: Path, fit: list[str]) -> str:
    """Of a table with a column a dim: what to write."""
    numbers = [] if fit else parquet.number_columns(path, "*")
    begin = numbers[-1].rstrip("0123456789") if numbers else ""  # before come labels and the like
    return f"for a column a dim write {path}:{begin}*" if len(numbers) > 1 else ""
