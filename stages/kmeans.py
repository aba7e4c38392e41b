"""Cluster one feature store by k-means; overclustering is the same stage with other settings."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from tqdm import tqdm

from cluster.assign import assign
from cluster.kmeans import Fit, kmeans
from cluster.minibatch import minibatch_kmeans
from cluster.rows import Rows
from stages import Runtime, Section, run, torch_device
from stages.files.clusters import save_clusters
from stages.files.space import Count, Dims, K, Seeds, open_space, settings


class Params(Section):
    k: K
    dims: Dims
    metric: Literal["euclidean", "cosine"]
    algorithm: Literal["lloyd", "minibatch"]
    n_init: Count
    max_iter: Count  # passes over the data; of mini-batch k-means: the number of epochs
    tol: Annotated[float, Field(ge=0)]
    batch: Count  # images a mini-batch
    init_images: Count  # images that k-means++ looks at
    seeds: Seeds


def main(
    features: Path,
    index: Path,
    estimate: Path,
    pca: Path,
    clusters: Path,
    params: Params,
    runtime: Runtime,
) -> None:
    """Cluster the store FEATURES for every k, dims and seed; write centroids and assignments.

    Fitted on the split `train`, applied to every split. No label is read: INDEX says how many
    classes are expected, for a k such as 1.5x, and ESTIMATE how many there seem to be, for auto.
    PCA (of stage pca) gives the projections.
    """
    space, device, fits = open_space(features, pca), torch_device(runtime.device), []
    wanted = settings(params.k, params.dims, index, estimate, space)
    for dims, group in groupby(wanted, itemgetter(1)):
        rows, fitted = space.rows(dims), space.fitted(dims, runtime.memory_gb)
        for k, _ in group:
            fit = _fit(fitted, k, dims, params, device)
            nearest = assign(rows, fit.centroids, unit=params.metric == "cosine", device=device)
            found_by = {**fit._asdict(), **nearest._asdict(), "loss": fit.inertia}
            found_by.pop("inertia")
            fits.append(found_by)
    save_clusters(
        clusters, space.found, space.basis, wanted, fits,
        how="centroids", seeds=params.seeds, metric=params.metric,
    )  # fmt: skip


def _fit(rows: Rows, k: int, dims: int, params: Params, device: str) -> Fit:
    what = f"k-means k={k}" + (f" dims={dims}" if dims else "")
    common: dict[str, Any] = {
        "seeds": params.seeds,
        "n_init": params.n_init,
        "cosine": params.metric == "cosine",
        "init_images": params.init_images,
        "device": device,
    }
    if params.algorithm == "minibatch":
        total = len(rows) * params.max_iter * len(params.seeds)
        with tqdm(total=total, desc=what, disable=None, unit="img") as bar:
            return minibatch_kmeans(
                rows, k, epochs=params.max_iter, batch=params.batch, progress=bar.update, **common
            )
    with tqdm(total=params.max_iter, desc=what, disable=None, unit="pass") as bar:

        def progress(moved: int) -> None:
            bar.set_postfix(moved=moved, refresh=False)
            bar.update()

        return kmeans(
            rows, k, max_iter=params.max_iter, tol=params.tol, progress=progress, **common
        )


if __name__ == "__main__":
    run(main)
