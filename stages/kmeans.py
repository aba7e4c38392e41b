"""Cluster one feature store by k-means; overclustering is the same stage with other settings."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints
from tqdm import tqdm

import store
from cluster.assign import assign
from cluster.kmeans import Fit, kmeans
from cluster.minibatch import minibatch_kmeans
from cluster.rows import Reduced, Rows, Subset, cached
from stages import Runtime, Section, StageError, read_basis, run, torch_device

Count = Annotated[int, Field(ge=1)]
Multiple = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?x$")]  # of the number of classes


class Params(Section):
    k: tuple[Count | Multiple, ...] = Field(min_length=1)
    dims: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)  # 0: no projection
    metric: Literal["euclidean", "cosine"]
    algorithm: Literal["lloyd", "minibatch"]
    n_init: Count
    max_iter: Count  # passes over the data; of mini-batch k-means: the number of epochs
    tol: Annotated[float, Field(ge=0)]
    batch: Count  # images a mini-batch
    init_images: Count  # images that k-means++ looks at
    seeds: tuple[int, ...] = Field(min_length=1)


def main(
    features: Path, index: Path, pca: Path, clusters: Path, params: Params, runtime: Runtime
) -> None:
    """Cluster the store FEATURES for every k, dims and seed; write centroids and assignments.

    Fitted on the split `train`, applied to every split. INDEX says only how many classes are
    expected, for a k such as 1.5x; no label is read. PCA (of stage pca) gives the projections.
    """
    found = store.Features(features)
    with store.read(index, "index") as file:
        n_classes = file.attrs["n_classes"]
    with store.read(pca, "pca") as file:
        basis = read_basis(file)
    device = torch_device(runtime.device)
    train = np.flatnonzero(found.split == found.splits.index("train"))
    all_dims = _dims(params.dims, found.dim, len(basis.components))
    all_k = list(dict.fromkeys(_clusters(k, n_classes, found.dataset) for k in params.k))
    out: dict[str, np.ndarray] = {
        "row": found.row,
        "split": found.split,
        "k": np.array(all_k * len(all_dims), np.int32),
        "dims": np.repeat(np.array(all_dims, np.int32), len(all_k)),
        "mean": basis.mean,
        "components": basis.components[: max(all_dims)],
        "variance": basis.variance[: max(all_dims)],
    }
    setting = 0
    for dims in all_dims:
        rows = Reduced(found, basis, dims)
        fitted = cached(Subset(rows, train), runtime.memory_gb)
        for k in all_k:
            fit = _fit(fitted, k, dims, params, device)
            nearest = assign(rows, fit.centroids, unit=params.metric == "cosine", device=device)
            found_by = {**fit._asdict(), **nearest._asdict()}
            out |= {f"{setting}/{name}": array for name, array in found_by.items()}
            setting += 1
    attrs: dict[str, Any] = {
        "dataset": found.dataset,
        "backbone": found.backbone,
        "run": clusters.stem,
        "fitted_on": found.dataset,
        "metric": params.metric,
        "normalize": basis.normalize,
        "whiten": basis.whiten,
        "seeds": list(params.seeds),
        "splits": found.splits,
    }
    store.save(clusters, "clusters", out, attrs)


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


def _clusters(k: int | str, n_classes: int, dataset: str) -> int:
    if isinstance(k, int):
        return k
    if not n_classes:
        raise StageError(
            f"k '{k}' is a multiple of the number of classes, and {dataset} has no known number: "
            f"write numbers, such as k: [20], or what you expect: datasets.{dataset}.classes: 20"
        )
    return max(1, round(float(k[:-1]) * n_classes))


def _dims(wanted: tuple[int, ...], dim: int, components: int) -> list[int]:
    """The wanted numbers of leading components that there are; all dims would be no reduction."""
    fit = [dims for dims in dict.fromkeys(wanted) if dims < dim and dims <= components]
    if len(fit) < len(set(wanted)):
        most = min(dim - 1, components)
        print(f"kmeans: the features have {most} leading components; dims beyond are left out")
    return fit or [0]


if __name__ == "__main__":
    run(main)
