"""Apply a finished clustering to other images of the same backbone."""

from functools import partial
from pathlib import Path

import numpy as np

import store
from cluster.heads.model import Linear, Mlp, predict
from cluster.heads.reject import own_distance
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.knn_vote import knn_vote
from cluster.vectors.rows import Basis, Reduced, Rows, Subset
from pipeline.fitting.assign_blocks import Assign, assign_images, nearest_centroid
from pipeline.io.cell import Pair
from pipeline.io.clusters import read_basis, read_clusters, save_clusters
from pipeline.io.collection import require_own_components
from pipeline.io.space import print_space
from pipeline.params import Runtime, StageError
from stages import run

KEPT = {
    "centroids": ("centroids", "iterations"),
    "linear": (*Linear._fields, "centroids", "reject_beyond"),
    "mlp": Mlp._fields,
    "neighbors": ("voters",),
}


def main(pair: Pair, clusters_of: str, runtime: Runtime) -> dict[str, str]:
    """Give each image of the dataset SECOND its cluster of a run that was fitted on FIRST.

    By the nearest centroid, by the learned head, or, where the method has neither, by the nearest
    images among those that were clustered. The vectors go through the PCA that the clusters were
    fitted in, never past it. CLUSTERS_OF is the name of the run, such as kmeans.
    """
    clusters = pair.first._replace(run=clusters_of).clusters
    features, fitted_features = pair.second.features, pair.first.features
    assigned = pair.assigned(clusters_of)
    found = store.Features(features)
    require_own_components(store.Features(fitted_features), found)
    with read_clusters(clusters) as file:
        attrs, basis = dict(file.attrs), read_basis(file)
        if attrs["backbone"] != found.backbone:
            raise StageError(
                f"{clusters} clusters features of {attrs['backbone']}, {features} holds those of "
                f"{found.backbone}: assign within one backbone"
            )
        if attrs["how"] not in KEPT:
            raise StageError(
                f"{clusters} is the mean of several heads: assign by one of them, beside it"
            )
        if len(basis.mean) != found.dim:
            raise StageError(
                f"{clusters} is {len(basis.mean)} wide, {features} {found.dim}: not alike"
            )
        settings = list(zip(file["k"].tolist(), file["dims"].tolist(), strict=True))
        fits = []
        for setting, (_, dims) in enumerate(settings):
            names = [n for n in (*KEPT[attrs["how"]], "loss") if f"{setting}/{n}" in file]
            fit = {name: file[f"{setting}/{name}"] for name in names}
            if attrs["how"] == "neighbors":
                prepare = partial(_by_neighbors, clusters, setting, fitted_features)
            elif attrs["how"] == "centroids":
                unit = attrs["metric"] == "cosine"
                prepare = partial(nearest_centroid, fit["centroids"], unit)
            else:
                prepare = partial(_by_head, Linear if attrs["how"] == "linear" else Mlp, fit)
            open_rows = partial(_open, features, basis, dims)
            fit |= assign_images(open_rows, prepare, len(found), runtime)
            if attrs["how"] == "centroids":  # the loss is that of these images
                fit["loss"] = np.square(fit["distance"], dtype=np.float64).sum(axis=1)
            fits.append(fit)
    save_clusters(
        assigned, found, basis, settings, fits,
        how=attrs["how"], seeds=attrs["seeds"], metric=attrs["metric"],
        fitted_on=attrs["fitted_on"],
    )  # fmt: skip
    print(f"assign: {len(found)} images of {found.dataset} to clusters of {attrs['fitted_on']}")
    return print_space("assign", basis, settings)


def _open(features: Path, basis: Basis, dims: int) -> Rows:
    return Reduced(store.Features(features), basis, dims)


def _by_head(kind: type[Linear | Mlp], fit: dict[str, np.ndarray]) -> Assign:
    """By a head, and whether it rejects the image."""
    head = kind(*(fit[name] for name in kind._fields))

    def say(rows: Rows, device: str) -> dict[str, np.ndarray]:
        said: dict[str, np.ndarray] = predict(rows, head, device=device)._asdict()
        if "reject_beyond" in fit:
            said["distance"] = own_distance(rows, said["assignment"], fit["centroids"], device)
            beyond = said["distance"] > fit["reject_beyond"][:, None]
            said["rejected"] = beyond.astype(np.uint8)
        return said

    return say


def _by_neighbors(clusters: Path, setting: int, fitted_features: Path) -> Assign:
    """By a vote of the nearest images of `train` among those that were clustered."""
    fitted = store.Features(fitted_features)
    with read_clusters(clusters) as file:
        k, dims = (int(file[name][setting]) for name in ("k", "dims"))
        train = np.flatnonzero(file["split"] == file.attrs["splits"].index("train"))
        among = Subset(Reduced(fitted, read_basis(file), dims), fitted.places(file["row"][train]))
        voters, metric = int(file[f"{setting}/voters"][0]), file.attrs["metric"]
        own = file[f"{setting}/assignment"][:, train]

    def say(rows: Rows, device: str) -> dict[str, np.ndarray]:
        near = nearest_neighbors(rows, among, voters, metric=metric, device=device)
        return knn_vote(near.neighbor, near.similarity, own, k)._asdict()

    return say


if __name__ == "__main__":
    run(main, lambda pair, clusters_of: [pair.assigned(clusters_of)])
