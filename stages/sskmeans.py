"""Cluster one feature store by semi-supervised k-means: known classes and new ones."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from tqdm import tqdm

from cluster.assign import assign
from cluster.balance import PASSES, even_size
from cluster.kmeans import Fit
from cluster.rows import Rows
from cluster.sskmeans import sskmeans
from stages import Runtime, Section, run, torch_device
from stages.files.clusters import save_clusters
from stages.files.known import read_known
from stages.files.space import Count, Dims, K, Seeds, open_space, settings


class Params(Section):
    k: K  # known classes and new ones together
    dims: Dims
    balanced: bool  # first passes with clusters of equal size
    n_init: Count
    max_iter: Count  # passes over the data
    tol: Annotated[float, Field(ge=0)]
    init_images: Count  # unlabelled images that k-means++ looks at
    seeds: Seeds


def main(
    features: Path,
    index: Path,
    known: Path,
    estimate: Path,
    pca: Path,
    clusters: Path,
    params: Params,
    runtime: Runtime,
) -> None:
    """Cluster the store FEATURES for every k, dims and seed; KNOWN says who is labelled.

    Fitted on the split `train`, applied to every split; cluster c is known class c for those that
    KNOWN names. INDEX says how many classes are expected, for a k such as 1.5x, and ESTIMATE how
    many were found, for `auto`. PCA (of stage pca) gives the projections.
    """
    space, device, fits = open_space(features, pca), torch_device(runtime.device), []
    label, old = read_known(known, space)
    everywhere = np.full(len(space.found), -1, np.int64)
    everywhere[space.train] = label
    wanted = settings(params.k, params.dims, index, estimate, space)
    for dims, group in groupby(wanted, itemgetter(1)):
        rows, fitted = space.rows(dims), space.fitted(dims, runtime.memory_gb)
        for k, _ in group:
            fit = _fit(fitted, label, k, dims, params, device)
            nearest = assign(rows, fit.centroids, label=everywhere, device=device)
            found_by = {**fit._asdict(), **nearest._asdict(), "loss": fit.inertia}
            found_by.pop("inertia")
            fits.append(found_by)
    save_clusters(
        clusters, space.found, space.basis, wanted, fits,
        how="centroids", seeds=params.seeds, old=old,
    )  # fmt: skip


def _fit(rows: Rows, label: np.ndarray, k: int, dims: int, params: Params, device: str) -> Fit:
    what = f"semi-supervised k-means k={k}" + (f" dims={dims}" if dims else "")
    most = params.max_iter + PASSES * params.balanced
    with tqdm(total=most, desc=what, disable=None, unit="pass") as bar:

        def progress(moved: int) -> None:
            bar.set_postfix(moved=moved, refresh=False)
            bar.update()

        return sskmeans(
            rows, label, k, seeds=params.seeds, n_init=params.n_init, max_iter=params.max_iter,
            tol=params.tol, cluster_size=even_size(len(rows), k) if params.balanced else None,
            init_images=params.init_images, device=device, progress=progress,
        )  # fmt: skip


if __name__ == "__main__":
    run(main)
