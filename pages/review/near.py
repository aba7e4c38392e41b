"""The nearest neighbours of each image, by which the page votes, merges and doubts."""

from pathlib import Path

import numpy as np

import store
from cluster.neighbors.table import Neighbors
from pipeline.io.neighbors import open_neighbors

COUNT = 20  # of each image


def read_near(path: Path, found: store.Features) -> Neighbors | None:
    """The first COUNT neighbours of each image of `found`, as rows of it, or as many as there are;
    None: of none there are any. StageError when the table is of other images."""
    with open_neighbors(path, (found.dataset, found.backbone), found.row) as file:
        neighbor = np.ascontiguousarray(file["neighbor"][:, :COUNT])
        similarity = np.ascontiguousarray(file["similarity"][:, :COUNT])
    if not neighbor.size:
        return None
    return Neighbors(found.places(neighbor), similarity)
