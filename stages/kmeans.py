"""Cluster one feature store by k-means; overclustering is the same stage with other settings."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.engine import EngineFactory
from cluster.kmeans.hierarchical.two_levels import hierarchical_kmeans
from cluster.kmeans.minibatch import minibatch_kmeans
from cluster.vectors.rows import Rows
from pipeline.fitting.by_dims import fit_by_dims
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.kmeans import Search, arrays, passes
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.space import Count, Dims, K, Seeds, open_space, print_space
from pipeline.params import Runtime, torch_device
from pipeline.ray.kmeans import RayKMeans
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
    cosine = params.metric == "cosine"
    over_ray = runtime.engine == "ray" and params.algorithm == "lloyd"
    device = "cpu" if over_ray else torch_device(runtime.device)
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    space_fact = print_space(cell.run, space.basis, wanted, "compared by cosine" if cosine else "")

    def fit_all(
        dims: int, ks: list[int], fitted: Rows, rows: Rows
    ) -> Iterator[dict[str, np.ndarray]]:
        where = (cell.features, cell.pca)
        ray = RayKMeans(*where, dims, fitted, cosine, runtime) if over_ray else None
        for k in ks:
            fit = _fit(fitted, k, dims, params, device, ray.engine if ray else None)
            if ray:
                nearest = ray.assign(fit.centroids, len(rows))
            else:
                nearest = assign(rows, fit.centroids, unit=cosine, device=device)
            yield arrays(fit, nearest)

    fits = fit_by_dims(space, wanted, 0 if over_ray else runtime.memory_gb, fit_all)
    save_clusters(
        cell.clusters, space.found, space.basis, wanted, fits,
        how="centroids", seeds=params.seeds, metric=params.metric,
    )  # fmt: skip
    return space_fact


def _fit(
    rows: Rows, k: int, dims: int, params: Params, device: str, make_engine: EngineFactory | None
) -> Fit:
    common: dict[str, Any] = {
        "seeds": params.seeds,
        "n_init": params.n_init,
        "cosine": params.metric == "cosine",
        "init_images": params.init_images,
        "device": device,
    }
    if params.algorithm == "minibatch":
        total = len(rows) * params.max_iter * len(params.seeds)
        with tqdm(total=total, desc=f"k-means k={k}", disable=None, unit="img") as bar:
            return minibatch_kmeans(
                rows, k, epochs=params.max_iter, batch=params.batch, progress=bar.update, **common
            )
    if params.algorithm == "hierarchical":
        total = 2 * len(rows) * len(params.seeds)
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
