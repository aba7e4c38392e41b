"""Cluster one feature store by k-means; overclustering is the same stage with other settings."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import Nearest, assign
from cluster.kmeans.engine import EngineFactory
from cluster.kmeans.hierarchical.two_levels import hierarchical_kmeans
from cluster.kmeans.minibatch import minibatch_kmeans
from cluster.vectors.rows import Rows
from pipeline.fitting.assign_blocks import assign_images, nearest_centroid
from pipeline.fitting.by_dims import fit_by_dims
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.kmeans import Search, arrays, passes
from pipeline.fitting.kmeans_on_ray.engine import RayKMeans
from pipeline.fitting.kmeans_on_ray.seeds import fit_seeds_on_ray
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.space import Count, Dims, K, Seeds, open_rows, open_space, print_space
from pipeline.params import Runtime, torch_device
from stages import run


class Params(Search):
    k: K
    dims: Dims
    metric: Literal["euclidean", "cosine"]
    algorithm: Literal["lloyd", "minibatch", "hierarchical"]
    batch: Count  # images a mini-batch; max_iter is then the number of epochs
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Cluster the cell for every k, dims and seed; write centroids and assignments.

    Fitted on the split `train`, applied to every split. No label is read: The index says how many
    classes are expected, for a k such as 1.5x, and stage estimate_k how many there seem to be, for
    auto. Stage pca gives the projections.
    """
    space = open_space(cell.features, cell.pca)
    cosine, on_ray = params.metric == "cosine", runtime.engine == "ray"
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    space_fact = print_space(cell.run, space.basis, wanted, "compared by cosine" if cosine else "")
    fit, memory_gb = partial(_fit_here, params, runtime), runtime.memory_gb
    if on_ray:
        fit, memory_gb = partial(_fit_on_ray, cell, space.train, params, runtime), 0
    save_clusters(
        cell.clusters, space.found, space.basis, wanted, fit_by_dims(space, wanted, memory_gb, fit),
        how="centroids", seeds=params.seeds, metric=params.metric,
    )  # fmt: skip
    return space_fact


def _fit_here(
    params: Params, runtime: Runtime, dims: int, ks: list[int], fitted: Rows, rows: Rows
) -> Iterator[dict[str, np.ndarray]]:
    unit, device = params.metric == "cosine", torch_device(runtime.device)
    for k in ks:
        fit = _fit(fitted, k, dims, params, params.seeds, device)
        yield arrays(fit, assign(rows, fit.centroids, unit=unit, device=device))


def _fit_on_ray(
    cell: Cell,
    train: np.ndarray,
    params: Params,
    runtime: Runtime,
    dims: int,
    ks: list[int],
    fitted: Rows,
    rows: Rows,
) -> Iterator[dict[str, np.ndarray]]:
    """Lloyd's algorithm by parts of the rows; the others, whose seeds are independent, by these."""
    cosine, where = params.metric == "cosine", (cell.features, cell.pca, dims)
    if params.algorithm == "lloyd":
        crew = RayKMeans(*where, train, fitted, cosine, runtime)
        for k in ks:
            fit = _fit(fitted, k, dims, params, params.seeds, "cpu", crew.engine)
            yield arrays(fit, crew.assign(fit.centroids, np.arange(len(rows))))
        return
    fits = fit_seeds_on_ray(partial(_fit_seed, dims, params), *where, ks, params.seeds, runtime)
    for fit in fits:
        prepare = partial(nearest_centroid, fit.centroids, cosine)
        found = assign_images(partial(open_rows, *where), prepare, len(rows), runtime)
        yield arrays(fit, Nearest(**found))


def _fit_seed(dims: int, params: Params, rows: Rows, k: int, seed: int, device: str) -> Fit:
    return _fit(rows, k, dims, params, (seed,), device)


def _fit(
    rows: Rows,
    k: int,
    dims: int,
    params: Params,
    seeds: tuple[int, ...],
    device: str,
    make_engine: EngineFactory | None = None,
) -> Fit:
    common: dict[str, Any] = {
        "seeds": seeds,
        "n_init": params.n_init,
        "cosine": params.metric == "cosine",
        "init_images": params.init_images,
        "device": device,
    }
    if params.algorithm == "minibatch":
        total = len(rows) * params.max_iter * len(seeds)
        with tqdm(total=total, desc=f"k-means k={k}", disable=None, unit="img") as bar:
            return minibatch_kmeans(
                rows, k, epochs=params.max_iter, batch=params.batch, progress=bar.update, **common
            )
    if params.algorithm == "hierarchical":
        total = 2 * len(rows) * len(seeds)
        with tqdm(total=total, desc=f"k-means k={k}", disable=None, unit="img") as bar:
            return hierarchical_kmeans(
                rows, k, max_iter=params.max_iter, tol=params.tol, progress=bar.update, **common
            )
    with passes("k-means", k, dims, params.max_iter) as progress:
        return kmeans(
            rows, k, max_iter=params.max_iter, tol=params.tol, progress=progress,
            make_engine=make_engine, **common,
        )  # fmt: skip


if __name__ == "__main__":
    run(main, "clusters")
