"""What edge information is computed on: the settings, the graph and the vectors of `train`.

Edges join the nearest in the space of the leading principal components, sought among the first
neighbours of the table (cluster.block_model.nearest_candidates), weighted by the neighbours that
two images have in common.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.nearest_candidates import nearest_candidates
from cluster.block_model.starts import DIMS
from cluster.scratch import taken
from cluster.spectral.snn_graph import jaccard_graph
from cluster.vectors.rows import TILE, ArrayRows, Reduced, Rows, Subset, UnitRows, cached
from pipeline.fitting.train_graph import TrainGraph, open_train_graph
from pipeline.io.cell import Cell
from pipeline.io.space import Count, Space
from pipeline.params import Runtime, Section, StageError, torch_device

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Edges(Section):
    """The settings of the graph and of what is done with it."""

    neighbors: Count  # of each image, in the graph
    candidates: Count  # first neighbours of the table, among which they are sought
    dims: Count  # leading principal components, in which they are, and of the polish
    lag: Count  # steps of the random walk between both ends
    sweeps: Count  # of the ascent, at most
    voters: Count  # neighbours that give an image outside `train` its cluster


class EdgeGraph(NamedTuple):
    """joined: the neighbours; graph: float64 csr [point, point]; vectors: of the points, the
    leading principal components at length 1; leading: the first DIMS components as they are."""

    joined: TrainGraph
    graph: "csr_array"
    vectors: Rows
    leading: Rows


def open_edge_graph(cell: Cell, space: Space, params: Edges, runtime: Runtime) -> EdgeGraph:
    """The graph of the cell by its table of neighbours."""
    if params.candidates < params.neighbors:
        raise StageError(
            f"params.yaml: {cell.run}.candidates is {params.candidates}, fewer than its "
            f"{params.neighbors} neighbors: set it to {params.neighbors} at least"
        )
    found, train = space.found, space.train
    joined = open_train_graph(cell, found, train, max(params.candidates, params.voters))
    vectors, leading = _vectors(joined, space, params.dims, runtime.memory_gb)
    among = params.candidates
    if joined.copies is not None:  # copies fill the table: to ask for more is a search of all
        among = max(params.neighbors, among // 2)
    near = nearest_candidates(
        vectors, joined.lists(among, torch_device(runtime.device)), params.neighbors
    )
    return EdgeGraph(joined, joined.weighted(jaccard_graph(near)), vectors, leading)


def _vectors(joined: TrainGraph, space: Space, dims: int, memory_gb: float) -> tuple[Rows, Rows]:
    """As `vectors` and `leading` of EdgeGraph; in RAM, and but once, if they fit there."""
    leading = _components(joined, space, DIMS)
    whole = cached(_components(joined, space, dims), memory_gb)
    if not isinstance(whole, ArrayRows):
        return UnitRows(whole), leading
    if leading.dim <= whole.dim:  # no need to read them again
        leading = ArrayRows(taken(whole.array[:, : leading.dim], np.arange(len(whole))))
    unit = UnitRows(whole)
    for low in range(0, len(whole), TILE):
        whole.array[low : low + TILE] = unit.block(low, low + TILE)
    return whole, leading


def _components(joined: TrainGraph, space: Space, dims: int) -> Rows:
    """The leading principal components of each point, not whitened: as many as there are."""
    basis = space.basis._replace(whiten=False)
    return Subset(Reduced(space.found, basis, min(dims, len(basis.components))), joined.rows())
