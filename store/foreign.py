"""Features, labels and ids that other programs wrote: npy, npz, parquet, HDF5 and torch files.

A source is `FILE` or `FILE:KEY` for a file of several arrays. Nothing is unpickled: numpy with
`allow_pickle=False`, torch with `weights_only=True`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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
    if path.suffix == ".parquet":
        return _parquet_matrix(path, key)
    array = _choose(path, key, _arrays(path), ndim=2)
    rows, dim = array.shape
    if not rows or not dim or array.dtype.kind not in "fiu":
        raise StoreError(
            f"{source}: {rows} x {dim} of {array.dtype}, expected numbers [image, dim]"
        )

    def blocks() -> Iterator[np.ndarray]:
        for low in range(0, rows, BLOCK):
            yield np.asarray(array[low : low + BLOCK])

    return Matrix(rows, dim, blocks)


def read_column(source: str) -> np.ndarray:
    """One value an image ([image]; labels, ids, splits): whole numbers or text."""
    path, key = _split(source)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        names = [f.name for f in pq.read_schema(path) if not _is_vector(f.type)]
        column = pq.read_table(path, columns=[_name(path, key, names)]).column(0)
        return np.asarray(column.to_pylist())
    array = np.asarray(_choose(path, key, _arrays(path), ndim=1))
    return np.char.decode(array) if array.dtype.kind == "S" else array


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
    if path.suffix not in SUFFIXES:
        raise StoreError(
            f"{path}: cannot read {path.suffix or 'this'}; known: {' '.join(SUFFIXES)}"
        )
    return path, key


def _arrays(path: Path) -> dict[str, Any]:
    """Everything array-like in a file, by name; large ones stay on the disk where they can."""
    try:
        if path.suffix == ".npy":
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix in (".h5", ".hdf5"):
            return _hdf5_arrays(path)
        import torch

        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        named = found if isinstance(found, dict) else {"": found}
        return {str(k): v.numpy() for k, v in named.items() if isinstance(v, torch.Tensor)}
    except Exception as error:  # each library has exceptions of its own for a broken file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path}: cannot be read ({reason})") from error


def _hdf5_arrays(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            text = h5py.check_string_dtype(node.dtype) is not None
            found[name] = node.asstr()[()].astype(str) if text else node

    h5py.File(path, "r").visititems(visit)  # stays open: its datasets are read block by block
    return found


def _choose(path: Path, key: str | None, arrays: dict[str, Any], ndim: int) -> Any:
    fit = [name for name, array in arrays.items() if len(array.shape) == ndim]
    return arrays[_name(path, key, fit)]


def _name(path: Path, key: str | None, fit: list[str]) -> str:
    if key is None and len(fit) == 1:
        return fit[0]
    if key in fit:
        return str(key)
    asked = f"no '{key}'" if key is not None else "not one array alone"
    raise StoreError(
        f"{path}: {asked} that fits; fitting: {', '.join(fit) or 'none'}; write {path}:KEY"
    )


def _parquet_matrix(path: Path, key: str | None) -> Matrix:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    vectors = [field.name for field in file.schema_arrow if _is_vector(field.type)]
    column = _name(path, key, vectors)

    def blocks() -> Iterator[np.ndarray]:
        for batch in file.iter_batches(BLOCK, columns=[column]):
            lists = batch.column(0)
            yield np.asarray(lists.flatten()).reshape(len(lists), -1)

    first = next(blocks(), None)
    if first is None or not first.shape[1]:
        raise StoreError(f"{path}: column '{column}' holds no vectors")
    return Matrix(file.metadata.num_rows, first.shape[1], blocks)


def _is_vector(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
