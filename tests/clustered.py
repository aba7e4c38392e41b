"""A folder of index, labels, features and clusterings, made directly: no stage has to run first."""

from pathlib import Path

import numpy as np

import images
import store
from pipeline.io.cell import Cell, images_of, labels_of

SPLITS = ["train", "test"]
N = 160  # handwritten digits; the first 120 are train


def digits() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names, uint8 digests [image, 16], float32 features [image, dim], int32 labels [image]."""
    listing = images.list_images({"from": "digits"})
    read = images.open_images({"from": "digits"})
    raw = [read(name) for name in listing.names[:N]]
    digests = np.array([np.frombuffer(images.digest(r), np.uint8) for r in raw])
    features = np.array([np.asarray(r).ravel() for r in raw], np.float32) / 255
    return listing.names[:N], digests, features, listing.labels[:N].astype(np.int32)


def write_dataset(folder: Path, dataset: str, *, labelled: bool = True) -> None:
    """Index, labels and the features of the backbone `pixels`."""
    names, digests, features, label = digits()
    write_index(folder, dataset, names, digests)
    store.save(
        folder / labels_of(dataset),
        "labels",
        {"label": label if labelled else np.full(N, -1, np.int32)},
        {"dataset": dataset, "classes": [str(i) for i in range(10)] if labelled else []},
    )
    write_features(folder, dataset, "pixels", features, digests)


def write_index(folder: Path, dataset: str, names: list[str], digests: np.ndarray) -> None:
    arrays = {"name": np.array(names, object), "digest": digests, "split": split_of(N)}
    attrs = {"dataset": dataset, "splits": SPLITS, "n_classes": 10}
    store.save(folder / images_of(dataset), "index", arrays, attrs)


def write_features(
    folder: Path, dataset: str, backbone: str, features: np.ndarray, digests: np.ndarray
) -> None:
    plan = store.Plan(
        dataset, backbone, "0" * 32, features.shape[1], SPLITS, digests, np.arange(N), split_of(N)
    )
    writer = store.FeatureWriter(folder / Cell(dataset, backbone).features, plan)
    writer.put(writer.todo, features[writer.todo])
    writer.finish()


def write_clusters(
    folder: Path,
    dataset: str,
    backbone: str = "pixels",
    run: str = "kmeans",
    *,
    settings: tuple[tuple[int, int], ...] = ((10, 0),),
    seeds: tuple[int, ...] = (0, 1, 2),
    fitted_on: str = "",
    normalize: bool = False,
) -> Path:
    """A few steps of k-means for each (k, dims); dims are leading columns, a PCA of no rotation."""
    found = store.Features(folder / Cell(dataset, backbone).features)
    x, train = found.block(0, len(found)), found.split == 0
    dim = max(dims for _, dims in settings)
    out = {
        "row": found.row,
        "split": found.split,
        "k": np.array([k for k, _ in settings], np.int32),
        "dims": np.array([dims for _, dims in settings], np.int32),
        "mean": np.zeros(found.dim),
        "components": np.eye(found.dim)[:dim],
        "variance": np.ones(dim),
    }
    for s, (k, dims) in enumerate(settings):
        fits = [_fit(x[:, : dims or None], train, k, seed) for seed in seeds]
        for name, dtype in (
            ("assignment", np.int32),
            ("distance", np.float32),
            ("centroids", np.float32),
            ("loss", np.float64),
        ):
            out[f"{s}/{name}"] = np.array([fit[name] for fit in fits], dtype)
        out[f"{s}/iterations"] = np.full(len(seeds), 5, np.int32)
    attrs = {
        "dataset": dataset, "backbone": backbone, "run": run, "fitted_on": fitted_on or dataset,
        "how": "centroids", "metric": "euclidean", "normalize": normalize, "whiten": False,
        "seeds": list(seeds), "splits": SPLITS,
    }  # fmt: skip
    path = folder / Cell(dataset, backbone, run).clusters
    store.save(path, "clusters", out, attrs)
    return path


def split_of(n: int) -> np.ndarray:
    return (np.arange(n) >= n * 3 // 4).astype(np.uint8)


def _fit(x: np.ndarray, train: np.ndarray, k: int, seed: int) -> dict[str, np.ndarray | float]:
    drawn = np.random.default_rng(seed).choice(np.flatnonzero(train), k, replace=False)
    centroids = x[drawn]
    for _ in range(5):
        distance = np.linalg.norm(x[:, None] - centroids, axis=2)
        own = distance.argmin(axis=1)
        for c in range(k):
            if (own[train] == c).any():
                centroids[c] = x[train & (own == c)].mean(axis=0)
    distance = np.linalg.norm(x[:, None] - centroids, axis=2)
    nearest = distance.min(axis=1)
    inertia = float(np.square(nearest[train]).sum())
    return {
        "assignment": distance.argmin(axis=1), "distance": nearest,
        "centroids": centroids, "loss": inertia,
    }  # fmt: skip
