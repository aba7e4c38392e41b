"""The nearest neighbours of each image, by which the page votes, merges and doubts.

As pipeline.io.neighbors reads them. But: without torch, which takes seconds and 300 MB.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pipeline.params import StageError

COUNT = 20  # of each image


class Near(NamedTuple):
    """neighbor: int32 [image, neighbor], as rows of the page; similarity: float32 [image,
    neighbor], nearest first."""

    neighbor: np.ndarray
    similarity: np.ndarray


def read_near(path: Path, found: store.Features) -> Near | None:
    """The first COUNT neighbours of each image of `found`, or as many as there are; None: of none
    there are any. StageError when the table is of other images."""
    with store.read(path, "neighbors") as file:
        of, row = (file.attrs["dataset"], file.attrs["backbone"]), file["row"]
        if of != (found.dataset, found.backbone) or not np.array_equal(row, found.row):
            raise StageError(
                f"{path} is not of the images in {found.path}: run `dvc repro neighbors`"
            )
        neighbor = np.ascontiguousarray(file["neighbor"][:, :COUNT])
        similarity = np.ascontiguousarray(file["similarity"][:, :COUNT])
    if not neighbor.size:
        return None
    return Near(found.places(neighbor), similarity)
