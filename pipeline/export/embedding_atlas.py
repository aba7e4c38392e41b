"""embedding_atlas: a parquet file as Embedding Atlas reads (apple.github.io/embedding-atlas).

x and y of the map; `cluster` as text, for it is a category; `name`, the label; the other columns of
the table; and `neighbors`, {ids, distances}: positions in the file from 0, nearest first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import store
from cluster.map.fuzzy_graph import distances
from pipeline.export.parquet import arrow, write_groups
from pipeline.export.table import Table
from pipeline.params import StageError

if TYPE_CHECKING:
    import pyarrow

FILE = "images.parquet"
GROUP = 65_536  # rows of a group: fifty neighbours of each are 25 MB


def write(folder: Path, table: Table) -> str:
    """The columns x and y are among those of the table."""
    columns = {name: table.columns[name] for name in ("x", "y")}
    columns |= {"name": table.label, **table.columns}
    path = table.cell.neighbors
    with store.read(path, "neighbors") as file:
        row, metric = file["row"], file.attrs["metric"]
        neighbor, similarity = file["neighbor"], file["similarity"]
    if not np.array_equal(row, table.row):
        raise StageError(f"{path} is not of the images of the table: run `dvc repro`")

    def groups() -> Iterator["pyarrow.Table"]:
        for start in range(0, len(row) or 1, GROUP):
            here = slice(start, start + GROUP)
            part = {name: column[here] for name, column in columns.items()}
            if "cluster" in part:
                part["cluster"] = part["cluster"].astype(str).astype(object)
            at = np.searchsorted(row, neighbor[here]).astype(np.int32)
            near = _struct(at, distances(similarity[here], metric))
            yield arrow(part, slice(None)).append_column("neighbors", near)

    write_groups(folder / FILE, groups())
    return ""


def _struct(ids: np.ndarray, distance: np.ndarray) -> "pyarrow.StructArray":
    """Of each image {ids, distances}; int32 and float32 [image, neighbor]."""
    import pyarrow

    images, k = ids.shape
    ends = pyarrow.array(np.arange(images + 1, dtype=np.int32) * k)
    lists = [pyarrow.ListArray.from_arrays(ends, each.ravel()) for each in (ids, distance)]
    return pyarrow.StructArray.from_arrays(lists, ["ids", "distances"])
