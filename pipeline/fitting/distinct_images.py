"""The images of train as points of a graph: equal vectors are one, so that the order of the files
has no influence and equal images are never told apart."""

from typing import NamedTuple

import numpy as np

import store
from cluster.kernels.similarity import Metric, survey
from cluster.neighbors.equal_rows import Distinct, distinct_rows
from cluster.neighbors.exact import Neighbors
from cluster.vectors.rows import Subset
from pipeline.io.cell import Cell
from pipeline.io.neighbors import among_train, read_neighbors


class Points(NamedTuple):
    """train: int64 [image], rows of the store; rows: their vectors; table: the neighbours of all
    images of the store, as positions in train; distinct: the points; copies: int64 [point], the
    images of each, None where no two are equal."""

    train: np.ndarray
    rows: Subset
    table: Neighbors
    metric: Metric
    distinct: Distinct
    copies: np.ndarray | None


def read_points(cell: Cell, found: store.Features, train: np.ndarray, neighbors: int) -> Points:
    """The points of a cell by its table of neighbours; prints a line where some are equal.

    Where there are copies all columns of the table are read, as some neighbours are copies.
    """
    distinct = distinct_rows(rows := Subset(found, train), survey(rows).code)
    with store.read(cell.neighbors, "neighbors") as file:
        metric, columns = file.attrs["metric"], file.raw("neighbor").shape[1]
    copies = None
    if len(distinct.first) < len(train):
        copies, neighbors = np.bincount(distinct.vector), max(neighbors, columns)
        print(
            f"{cell.run}: {len(train)} images have {len(copies)} distinct vectors; copies are one"
        )
    else:
        every = np.arange(len(train))
        distinct = Distinct(every, every)
    table = among_train(read_neighbors(cell.neighbors, found, neighbors), train, cell.neighbors)
    return Points(train, rows, table, metric, distinct, copies)
