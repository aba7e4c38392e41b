"""Cluster the map of a cell by k-means: UMAP, then k-means."""

import numpy as np

import store
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.vectors.rows import ArrayRows, Basis
from pipeline.fitting.feasible_k import feasible_k
from pipeline.fitting.kmeans import Search, arrays, passes
from pipeline.fitting.map import read_map
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.space import Count, K, Seeds, print_space, train_rows
from pipeline.params import Runtime, torch_device
from stages import run


class Params(Search):
    k: K
    dims: Count  # of the map
    voters: Count  # nearest images of train that give an image of another dataset its cluster
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Cluster the places of the images on the map of the cell, for every k and seed.

    Fitted on the split `train`; other images go to the nearest centroid on the map. An image of
    another dataset has no place on it: assign has its nearest images vote. No label is read.
    """
    found, device = store.Features(cell.features), torch_device(runtime.device)
    train = train_rows(found)
    place, metric = read_map(cell.map, found, params.dims, f"{cell.run}.dims")
    all_k = feasible_k(cell, params.k, found, train, cell.k)
    rows, fitted = ArrayRows(place), ArrayRows(place[train])
    voters = min(params.voters, len(train))
    fits = []
    for k in all_k:
        with passes(cell.run, k, params.dims, params.max_iter) as progress:
            fit = kmeans(
                fitted, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
                tol=params.tol, init_images=params.init_images, device=device, progress=progress,
            )  # fmt: skip
        out = arrays(fit, assign(rows, fit.centroids, device=device))
        del out["centroids"]  # on the map, where no vector of features can be
        fits.append({**out, "voters": np.full(len(params.seeds), voters, np.int32)})
    # Neither centroids nor projection: the neighbours are those of whole vectors
    plain = Basis(
        np.zeros(found.dim), np.zeros((0, found.dim)), np.zeros(0), metric == "cosine", False
    )
    settings = [(k, 0) for k in all_k]
    save_clusters(
        cell.clusters, found, plain, settings, fits,
        how="neighbors", seeds=params.seeds, metric=metric,
    )  # fmt: skip
    return print_space(cell.run, plain, settings, f"a map of {params.dims} dims")


if __name__ == "__main__":
    run(main, "clusters")
