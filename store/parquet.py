"""Columns of parquet files: vectors that are lists in one column, and one value an image.

Every function raises ValueError, or what pyarrow raises, on what it cannot read.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np


def column_names(path: Path, *, vectors: bool) -> list[str]:
    """The columns that hold lists (`vectors`), or those that do not."""
    import pyarrow.parquet as pq

    return [field.name for field in pq.read_schema(path) if _is_list(field.type) == vectors]


def column_kinds(path: Path) -> dict[str, str]:
    """The type of each column by its name."""
    import pyarrow.parquet as pq

    return {field.name: f"of {field.type}" for field in pq.read_schema(path)}


def number_columns(path: Path, pattern: str) -> list[str]:
    """The columns of numbers whose names fit a pattern such as f*, in the order of the table."""
    import pyarrow.parquet as pq
    import pyarrow.types as types

    return [
        field.name
        for field in pq.read_schema(path)
        if (types.is_floating(field.type) or types.is_integer(field.type))
        and fnmatchcase(field.name, pattern)
    ]


def count(path: Path) -> int:
    """Rows of the table."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def read_numbers(path: Path, columns: list[str], size: int) -> Iterator[np.ndarray]:
    """Blocks [image, dim] of up to `size` rows, a column a dim."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(size, columns=columns):
            for name in columns:
                if batch.column(name).null_count:
                    raise ValueError(f"column '{name}' has missing values")
            yield np.column_stack([np.asarray(batch.column(name)) for name in columns])


def shape(path: Path, column: str) -> tuple[int, int]:
    """Rows of a column of vectors, and their length."""
    first = next(read_vectors(path, column, 1, None), None)
    if first is None or not first.shape[1] or first.dtype.kind not in "fiub":
        raise ValueError(f"column '{column}' holds no vectors of numbers")
    return count(path), first.shape[1]


def read_vectors(path: Path, column: str, size: int, dim: int | None) -> Iterator[np.ndarray]:
    """Blocks [image, dim] of up to `size` rows. A list of another length than `dim` (than the
    first, where that is None), or a missing one, is refused: reshaped, all would be nonsense."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(size, columns=[column]):
            lists = batch.column(0)
            lengths = pc.list_value_length(lists).unique().to_pylist()
            dim = lengths[0] if dim is None else dim
            if lists.null_count:
                raise ValueError(f"column '{column}' has missing vectors: fill them, or drop rows")
            if lengths != [dim]:
                raise ValueError(f"column '{column}' has vectors of lengths {lengths}, not {dim}")
            yield np.asarray(lists.flatten()).reshape(len(lists), -1)


def read_values(path: Path, column: str) -> np.ndarray:
    """One value an image; all as text, "" for those that are missing, where some are."""
    import pyarrow.parquet as pq

    values = pq.read_table(path, columns=[column]).column(0).to_pylist()
    if any(value is None for value in values):
        values = ["" if value is None else str(value) for value in values]
    return np.asarray(values)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
