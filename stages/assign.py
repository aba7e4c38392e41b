"""Apply a finished clustering to other images of the same backbone."""

from pathlib import Path

import numpy as np

import store
from cluster.heads.model import Linear, Mlp, predict
from cluster.heads.reject import own_distance
from cluster.kmeans.assign import assign
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.knn_vote import knn_vote
from cluster.vectors.rows import Reduced, Rows, Subset
from pipeline.io.cell import Pair
from pipeline.io.clusters import read_basis, read_clusters, save_clusters
from pipeline.io.collection import require_own_components
from pipeline.io.space import print_space
from pipeline.params import Runtime, StageError, torch_device
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
    found, device = store.Features(features), torch_device(runtime.device)
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
            rows = Reduced(found, basis, dims)
            names = [n for n in (*KEPT[attrs["how"]], "loss") if f"{setting}/{n}" in file]
            fit = {name: file[f"{setting}/{name}"] for name in names}
            if attrs["how"] == "neighbors":
                fit |= _by_neighbors(rows, file, setting, fitted_features, device)
            else:
                fit |= _by_model(rows, attrs, fit, device)
            fits.append(fit)
    save_clusters(
        assigned, found, basis, settings, fits,
        how=attrs["how"], seeds=attrs["seeds"], metric=attrs["metric"],
        fitted_on=attrs["fitted_on"],
    )  # fmt: skip
    print(f"assign: {len(found)} images of {found.dataset} to clusters of {attrs['fitted_on']}")
    return print_space("assign", basis, settings)


def _by_model(
    rows: Rows, attrs: dict, fit: dict[str, np.ndarray], device: str
) -> dict[str, np.ndarray]:
    """By centroids or a head; the loss is that of these images where it is an inertia."""
    if attrs["how"] == "centroids":
        found = assign(rows, fit["centroids"], unit=attrs["metric"] == "cosine", device=device)
        inertia = np.square(found.distance, dtype=np.float64).sum(axis=1)
        return {**found._asdict(), "loss": inertia}
    kind = Linear if attrs["how"] == "linear" else Mlp
    head = kind(*(fit[name] for name in kind._fields))
    said: dict[str, np.ndarray] = predict(rows, head, device=device)._asdict()
    if "reject_beyond" in fit:
        said["distance"] = own_distance(rows, said["assignment"], fit["centroids"], device)
        said["rejected"] = (said["distance"] > fit["reject_beyond"][:, None]).astype(np.uint8)
    return said


def _by_neighbors(
    rows: Rows, file: store.File, setting: int, fitted_features: Path, device: str
) -> dict[str, np.ndarray]:
    """By a vote of the nearest images of `train` among those that were clustered."""
    fitted, dims = store.Features(fitted_features), int(file["dims"][setting])
    train = np.flatnonzero(file["split"] == file.attrs["splits"].index("train"))
    among = Subset(Reduced(fitted, read_basis(file), dims), fitted.places(file["row"][train]))
    voters = int(file[f"{setting}/voters"][0])
    near = nearest_neighbors(rows, among, voters, metric=file.attrs["metric"], device=device)
    clusters, k = file[f"{setting}/assignment"][:, train], int(file["k"][setting])
    return knn_vote(near.neighbor, near.similarity, clusters, k)._asdict()


if __name__ == "__main__":
    run(main, lambda pair, clusters_of: [pair.assigned(clusters_of)])
