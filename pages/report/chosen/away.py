"""How untypical an image is of its cluster."""

import numpy as np

import store


def away(file: store.File, setting: int) -> np.ndarray:
    """How untypical each image is of its cluster, float32 [seed, image]: its distance from the
    centre, or how improbable the cluster is; 0 where the run says neither."""
    if f"{setting}/distance" in file:
        return file[f"{setting}/distance"]
    if f"{setting}/probability" in file:
        return 1 - file[f"{setting}/probability"]
    return np.zeros(file[f"{setting}/assignment"].shape, np.float32)
