"""Cluster the graph that the table of neighbours is, by its eigenvectors."""

from typing import TYPE_CHECKING, Any

import numpy as np

import store
from cluster.kernels.similarity import survey
from cluster.neighbors.equal_rows import distinct_rows
from cluster.neighbors.exact import Neighbors
from cluster.neighbors.knn_vote import knn_vote, support
from cluster.spectral.distinct_points import neighbors_of_distinct, weighted_graph
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import Leading, eigengap_k, leading_eigenvectors, spectral
from cluster.vectors.rows import Basis, Subset
from pipeline.fitting.feasible_k import feasible_k
from pipeline.fitting.kmeans import Starts
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.neighbors import among_train, read_neighbors
from pipeline.io.space import Count, K, Seeds, print_space, train_rows
from pipeline.params import Runtime, torch_device
from stages import run

if TYPE_CHECKING:
    from scipy.sparse import csr_array


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
    points = distinct_rows(rows := Subset(found, train), survey(rows).code)
    copies = np.bincount(points.vector) if len(points.first) < len(train) else None
    most = max(params.neighbors, params.voters)
    with store.read(cell.neighbors, "neighbors") as file:
        metric, columns = file.attrs["metric"], file.raw("neighbor").shape[1]
    if copies is not None:  # some neighbours are copies: others are further along the table
        print(f"spectral: {len(train)} images have {len(copies)} distinct vectors; copies are one")
        most = max(most, columns)
    table = among_train(read_neighbors(cell.neighbors, found, most), train, cell.neighbors)

    def graph() -> "csr_array":
        if copies is None:
            return shared_neighbor_graph(table.neighbor[train, : params.neighbors])
        near = neighbors_of_distinct(
            rows, table.neighbor[train], points, params.neighbors, metric=metric, device=device
        )
        return weighted_graph(shared_neighbor_graph(near), copies)

    # None but this call holds the graph: it goes when it can
    leading = leading_eigenvectors(graph(), max(params.eigenvalues, *all_k) + 1, copies)
    fits = []
    for k in all_k:
        fit = spectral(
            leading, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
            tol=params.tol, copies=copies, device=device,
        )  # fmt: skip
        own = fit.assignment if copies is None else fit.assignment[:, points.vector]
        everyone = _everyone(own, k, train, table, params.voters)
        fits.append({**everyone, "loss": fit.loss})
    # Neither centroids nor projection: the neighbours are those of whole vectors.
    plain = Basis(
        np.zeros(found.dim), np.zeros((0, found.dim)), np.zeros(0), metric == "cosine", False
    )
    save_clusters(
        cell.clusters, found, plain, [(k, 0) for k in all_k], fits,
        how="neighbors", seeds=params.seeds, metric=metric,
    )  # fmt: skip
    near = f"the graph of {metric} neighbours"
    space_fact = print_space(cell.run, plain, [(k, 0) for k in all_k], near)
    said = _evidence(leading, params.eigenvalues)
    if said["components"] > 1:
        print(
            f"spectral: the graph of {params.neighbors} neighbours falls into "
            f"{said['components']} parts; raise spectral.neighbors if that is too many"
        )
    return {**space_fact, **said}


def _everyone(
    fitted: np.ndarray, k: int, train: np.ndarray, table: Neighbors, voters: int
) -> dict[str, np.ndarray]:
    """The clusters of `train` (int32 [seed, image of train]) and of all others by their vote."""
    seeds, images = len(fitted), len(table.neighbor)
    near, similar = table.neighbor[:, :voters], table.similarity[:, :voters]
    assignment = np.empty((seeds, images), np.int32)
    probability = np.empty((seeds, images), np.float32)
    others = np.setdiff1d(np.arange(images), train)
    voted = knn_vote(near[others], similar[others], fitted, k)
    assignment[:, train], assignment[:, others] = fitted, voted.assignment
    probability[:, others] = voted.probability
    size = np.stack([np.bincount(of_seed, minlength=k) for of_seed in fitted])
    alike = np.take_along_axis(size, fitted, 1) - 1
    probability[:, train] = support(near[train], similar[train], fitted, fitted, alike)
    number = np.full(seeds, near.shape[1], np.int32)
    return {"assignment": assignment, "probability": probability, "voters": number}


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
