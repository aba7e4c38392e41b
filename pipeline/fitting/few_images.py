"""How many neighbours heads learn from where images are few.

A partner should mostly be of the cluster of its image. With n images and k clusters the mean
cluster has n / k images, and heads that learn from more neighbours than that give clusters up. So

    neighbors = min(neighbors, max(1, n // k)),

which leaves the setting as it is from k x neighbors images on. Steps and the number of heads need
no such limit: with half and twice as many, on 60 to 150 photographs of 10 classes, the accuracy
changed by less than between seeds.
"""

from collections.abc import Sequence

import numpy as np


def near_enough(
    run: str, table: np.ndarray, settings: Sequence[tuple[int, int]]
) -> dict[int, np.ndarray]:
    """For each k of the settings (k, dims) the neighbours that its heads learn from: int [image,
    neighbor], nearest first, the first columns of `table`. Prints a line where not all are."""
    images, there = table.shape
    out = {}
    for k in dict.fromkeys(k for k, _ in settings):
        out[k] = table[:, : max(1, images // k)]
        if (left := out[k].shape[1]) < there:
            print(
                f"{run} k={k}: {images} images are few: heads learn from {left} neighbours of each "
                f"instead of {there}"
            )
    return out
