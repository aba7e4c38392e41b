"""parquet: columns of types of their own, a group of rows at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import store
from pipeline.export.table import Table
from pipeline.io.whole import whole_bytes

if TYPE_CHECKING:
    import pyarrow

GROUP = 1_048_576  # rows of a group, as pyarrow's own


def write(path: Path, table: Table) -> str:
    """A column a column."""
    starts = range(0, len(table.row) or 1, GROUP)
    write_groups(path, (arrow(table.columns, slice(at, at + GROUP)) for at in starts))
    return ""


def arrow(columns: Mapping[str, store.Strings], rows: slice) -> "pyarrow.Table":
    """Some rows of columns [image]; text is object."""
    import pyarrow

    def array(values: np.ndarray) -> "pyarrow.Array":
        return pyarrow.array(values, pyarrow.string() if values.dtype == object else None)

    return pyarrow.table({name: array(column[rows]) for name, column in columns.items()})


def write_groups(path: Path, groups: Iterator["pyarrow.Table"]) -> None:
    """Write a file of these groups of rows, of which there is at least one."""
    import pyarrow.parquet

    first = next(groups)
    with whole_bytes(path) as file, pyarrow.parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(group)
