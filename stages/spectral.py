"""Cluster the graph that the table of neighbours is, by its eigenvectors."""

from typing import Any

import store
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import Leading, eigengap_k, leading_eigenvectors, spectral
from pipeline.fitting.feasible_k import feasible_k
from pipeline.fitting.kmeans import Starts
from pipeline.fitting.train_graph import (
    open_train_graph,
    save_voted,
    voted_everywhere,
    whole_vectors,
)
from pipeline.io.cell import Cell
from pipeline.io.space import Count, K, Seeds, print_space, train_rows
from pipeline.params import Runtime, torch_device
from stages import run


class Params(Starts):
    k: K
    neighbors: Count  # of each image, in the graph
    eigenvalues: Count  # how many are looked at for the number of clusters
    voters: Count  # neighbours that give an image outside `train` its cluster
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Cluster the images of the cell by their table of neighbours, for every k and seed.

    Fitted on the split `train`; the other images go where their nearest of it are. The probability
    of an image is the share of its neighbours' weight in its own cluster. No label is read: The
    index says how many classes are expected, for a k such as 1.5x, stage estimate_k how many there
    seem to be, for auto. The metrics: how many clusters the eigenvalues hint at (the first largest
    gap), the eigenvalues, and how many parts the graph falls into."""
    found, device = store.Features(cell.features), torch_device(runtime.device)
    train = train_rows(found)
    all_k = feasible_k(cell, params.k, found, train, cell.k)
    joined = open_train_graph(cell, found, train, max(params.neighbors, params.voters))
    # None but this call holds the graph: it goes when it can
    leading = leading_eigenvectors(
        joined.weighted(shared_neighbor_graph(joined.lists(params.neighbors, device))),
        max(params.eigenvalues, *all_k) + 1,
        joined.copies,
    )
    fits = []
    for k in all_k:
        fit = spectral(
            leading, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
            tol=params.tol, copies=joined.copies, device=device,
        )  # fmt: skip
        everyone = voted_everywhere(joined, fit.assignment, k, params.voters)
        fits.append({**everyone, "loss": fit.loss})
    settings, plain = [(k, 0) for k in all_k], whole_vectors(joined)
    save_voted(cell, joined, plain, settings, fits, params.seeds)
    near = f"the graph of {joined.metric} neighbours"
    space_fact = print_space(cell.run, plain, settings, near)
    said = _evidence(leading, params.eigenvalues)
    if said["components"] > 1:
        print(
            f"spectral: the graph of {params.neighbors} neighbours falls into "
            f"{said['components']} parts; raise spectral.neighbors if that is too many"
        )
    return {**space_fact, **said}


def _evidence(leading: Leading, looked_at: int) -> dict[str, Any]:
    """What the graph says by itself; no eigengap where there is none to be seen."""
    eigenvalues = leading.eigenvalues[: looked_at + 1]
    gap = eigengap_k(eigenvalues)
    return {
        **({"eigengap_k": gap} if gap else {}),
        "components": int(leading.component.max(initial=-1)) + 1,
        "isolated": int((leading.component < 0).sum()),
        "eigenvalues": [round(float(value), 6) for value in eigenvalues],
    }


if __name__ == "__main__":
    run(main, "clusters")
