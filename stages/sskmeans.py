"""Cluster one feature store by semi-supervised k-means: known classes and new ones."""

from collections.abc import Iterator

import numpy as np

from cluster.kmeans.api import Fit
from cluster.kmeans.assign import assign
from cluster.kmeans.balanced import PASSES, even_size
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import Rows
from pipeline.fitting.by_dims import fit_by_dims
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.kmeans import Search, arrays, passes
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.estimate import estimate_of
from pipeline.io.known import read_known
from pipeline.io.space import Dims, K, Seeds, open_space, print_space
from pipeline.params import Runtime, torch_device
from stages import run


class Params(Search):
    k: K  # known classes and new ones together
    dims: Dims
    balanced: bool  # first passes with clusters of equal size
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Cluster the cell for every k, dims and seed; the file of known classes says who is labelled.

    Fitted on the split `train`, applied to every split; cluster c is known class c for those that
    it names. The index says how many classes are expected, for a k such as 1.5x, and the estimate
    that `discover.auto` names how many were found, for `auto`. Stage pca gives the projections.
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    known = read_known(cell.known, space)
    everywhere = np.full(len(space.found), -1, np.int64)
    everywhere[space.train] = known.label
    wanted = feasible_settings(cell, params.k, params.dims, space, estimate_of(cell), known)
    space_fact = print_space(cell.run, space.basis, wanted)

    def fit_all(
        dims: int, ks: list[int], fitted: Rows, rows: Rows
    ) -> Iterator[dict[str, np.ndarray]]:
        for k in ks:
            fit = _fit(fitted, known.label, k, dims, params, device)
            nearest = assign(rows, fit.centroids, label=everywhere, device=device)
            yield arrays(fit, nearest)

    fits = fit_by_dims(space, wanted, runtime.memory_gb, fit_all)
    save_clusters(
        cell.discovered, space.found, space.basis, wanted, fits,
        how="centroids", seeds=params.seeds, old=known.old,
    )  # fmt: skip
    return space_fact


def _fit(rows: Rows, label: np.ndarray, k: int, dims: int, params: Params, device: str) -> Fit:
    most = params.max_iter + PASSES * params.balanced
    with passes("semi-supervised k-means", k, dims, most) as progress:
        return sskmeans(
            rows, label, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
            tol=params.tol, cluster_size=even_size(len(rows), k) if params.balanced else None,
            init_images=params.init_images, device=device, progress=progress,
        )  # fmt: skip


if __name__ == "__main__":
    run(main, "discovered")
