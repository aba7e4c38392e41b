"""Finish a clustering: its clusters ascend in edge information, and are polished by the vectors."""

from typing import Any

import numpy as np

from cluster.block_model.ascent import ascend
from cluster.block_model.dcsbm import polished
from pipeline.fitting.edge_graph import Edges, open_edge_graph
from pipeline.fitting.train_graph import save_voted, voted_everywhere
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_basis, read_clusters
from pipeline.io.space import open_space, print_space
from pipeline.names import FINISHED
from pipeline.params import Runtime, StageError
from stages import run


class Params(Edges):
    pass


def main(cell: Cell, clusters_of: str, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Finish every setting and seed of the run CLUSTERS_OF of the cell, such as kmeans.

    The clusters of `train` move to more edge information and are polished; the other images go
    where their nearest of it are. Written as a run of its own, CLUSTERS_OF_finished, beside the
    first. The loss is minus the information, in nats; no label is read.
    """
    space, to = open_space(cell.features, cell.pca), finished(cell, clusters_of)
    before = cell._replace(run=clusters_of).clusters
    with read_clusters(before) as file:
        basis, seeds = read_basis(file), file.attrs["seeds"]
        if len(file["row"]) != len(space.found) or (file["row"] != space.found.row).any():
            raise StageError(f"{before} is of other images than {cell.features}: run it again")
        settings = list(zip(file["k"].tolist(), file["dims"].tolist(), strict=True))
        starts = [file[f"{number}/assignment"][:, space.train] for number in range(len(settings))]
    edges = open_edge_graph(cell, space, params, runtime)
    joined, graph, vectors = edges.joined, edges.graph, edges.vectors
    fits, gains = [], []
    for (k, _), own in zip(settings, starts, strict=True):
        found = []
        for seed, start in zip(_seeds(seeds, own), joined.of_points(own), strict=True):
            best = ascend(graph, start, k, lag=params.lag, seed=seed, sweeps=params.sweeps)
            found.append(
                polished(
                    graph,
                    vectors,
                    best.assignment,
                    k,
                    lag=params.lag,
                    seed=seed,
                    copies=joined.copies,
                )
            )
        own = np.stack([each.assignment for each in found])
        loss = np.array([-each.information for each in found])
        fits.append({**voted_everywhere(joined, own, k, params.voters), "loss": loss})
        gains.append([round(float(each), 4) for each in -loss])
    save_voted(to, joined, basis, settings, fits, seeds)
    return {**print_space(to.run, basis, settings, "finished on the graph"), "information": gains}


def finished(cell: Cell, clusters_of: str) -> Cell:
    """The cell of the run that is written."""
    return cell._replace(run=clusters_of + FINISHED)


def _seeds(seeds: list[int], own: np.ndarray) -> list[int]:
    """Those of the run; an ensemble of all of them has the first."""
    return [int(seed) for seed in seeds[: len(own)]]


if __name__ == "__main__":
    run(main, lambda cell, clusters_of: [finished(cell, clusters_of).clusters])
