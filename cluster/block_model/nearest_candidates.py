"""The nearest neighbours in another space, sought among those of a table.

Neighbours by the cosine of whole vectors are found once, by stage neighbors; those by the cosine of
centred principal components join more images of a class, and are among the first of that table for
the most part. But: one that is in no table of its image is missed.
"""

import numpy as np

from cluster.kernels.jit import in_order
from cluster.kernels.threads import on_cores
from cluster.scratch import scratch_array
from cluster.vectors.rows import ArrayRows, Rows

ROWS = 1024  # images that a core takes at once
TAKEN = 4096  # of their candidates' vectors that are read at once: whole ones, projected then


def nearest_candidates(rows: Rows, candidates: np.ndarray, k: int) -> np.ndarray:
    """The k of int [image, candidate] with the largest inner product to the image, nearest first;
    of equal ones the first: int32 [image, neighbor]. rows: [image, dim], at length 1."""
    images, k = len(candidates), min(k, candidates.shape[1])
    out = scratch_array((images, k), np.int32)

    def some(low: int) -> None:
        here = candidates[low : low + ROWS]
        x = rows.block(low, low + len(here))
        if isinstance(rows, ArrayRows):
            among, place = rows.array, here
        else:
            name, place = np.unique(here, return_inverse=True)
            among, place = np.empty((len(name), rows.dim), np.float32), place.reshape(here.shape)
            for start in range(0, len(name), TAKEN):
                among[start : start + TAKEN] = rows.take(name[start : start + TAKEN])
        product = np.empty(here.shape)
        _products(x, among, place, product)
        order = np.argsort(-product, axis=1, kind="stable")[:, :k]
        out[low : low + ROWS] = np.take_along_axis(here, order, 1)

    on_cores(some, range(0, images, ROWS))
    return out


@in_order
def _products(x: np.ndarray, among: np.ndarray, place: np.ndarray, out: np.ndarray) -> None:
    for image in range(len(x)):
        for column in range(place.shape[1]):
            y, total = among[place[image, column]], 0.0
            for d in range(x.shape[1]):
                total += np.float64(x[image, d]) * np.float64(y[d])
            out[image, column] = total
