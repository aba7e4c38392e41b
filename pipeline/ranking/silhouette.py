"""Silhouettes of all clusterings of a file, on one draw of images in one space: the whole features
of the backbone, whatever dims a run clustered, so that those of one backbone can be compared."""

from pathlib import Path

import numpy as np

import store
from cluster.metrics.clustering import silhouettes


def is_as_stored(path: Path) -> bool:
    """Whether a run read its vectors through a PCA that does not normalise them. Neighbours and
    heads that were learned with a backbone have a space of their own."""
    with store.read(path, "clusters") as file:
        own = file.attrs["how"] == "neighbors" or path.parent.name == "learned"
        return not own and not file.attrs["normalize"]


def sampled_silhouettes(
    file: store.File,
    found: store.Features,
    at: np.ndarray,
    here: np.ndarray,
    images: int,
    seed: int,
    unit: bool,
) -> np.ndarray:
    """Of every setting and seed of a file of kind clusters: float64 [setting, seed].

    At most so many `images`, drawn by `seed` from `here`, int64 [image], rows of the file; at: the
    places of these rows in the store `found`; unit: whether vectors are scaled to length 1. The
    same images in the same space for every clustering, so distances are taken once a file.
    """
    drawn = here
    if len(here) > images:
        generator = np.random.default_rng(seed)
        drawn = np.sort(generator.choice(here, images, replace=False))
    own = np.array([file[f"{s}/assignment"][:, drawn] for s in range(len(file["k"]))])
    x = found.take(at[drawn])
    if unit:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return silhouettes(x, np.concatenate(own)).reshape(own.shape[:2])
