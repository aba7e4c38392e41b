"""One clustering as the review sees it: the cluster of each image, by seed and setting of a run."""

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters, seed_of_lowest_loss
from pipeline.params import StageError
from pipeline.review.digests import hex_digests


class Clustering(NamedTuple):
    """row: int64 [image], in the index; digest: of each, hex; assignment: int64 [image]; k: number
    of clusters; names: by number, of the clusters that are known classes (category discovery);
    fingerprint: equal for equal clusterings of equal images."""

    cell: Cell
    folder: str  # clusters or discovered
    setting: int
    seed: int  # its position
    row: np.ndarray
    digest: list[str]
    assignment: np.ndarray
    k: int
    names: dict[int, str]
    fingerprint: str

    @property
    def dataset(self) -> str:
        return self.cell.dataset

    @property
    def backbone(self) -> str:
        return self.cell.backbone

    @property
    def path(self) -> Path:
        """The file of the run."""
        return self.cell.file(f"{self.folder}/{self.cell.run}.h5")


def read_clustering(
    cell: Cell, folder: str = "clusters", setting: int = 0, seed: int | None = None
) -> Clustering:
    """Of the run `cell.run`; seed: its position, that of lowest loss if none is given.

    Raises Absent where the run is, StageError where the file is of other images than the index.
    """
    path = cell.file(f"{folder}/{cell.run}.h5")
    with read_clusters(path) as file:
        seed = seed_of_lowest_loss(file, setting) if seed is None else seed
        row, k = file["row"], int(file["k"][setting])
        assignment = file[f"{setting}/assignment"][seed].astype(np.int64)
        names = dict(enumerate(file.attrs.get("old", [])))
    with store.read(cell.images, "index") as file:
        digest = file.mapped("digest")
    if row.max(initial=-1) >= len(digest):
        raise StageError(f"{cell.images} is not the index of the images in {path}: run `dvc repro`")
    own = np.ascontiguousarray(digest[row])
    of = blake2b(own.tobytes() + assignment.tobytes(), digest_size=8)
    of.update(f"{cell.backbone}/{cell.run}/{setting}/{k}".encode())
    return Clustering(
        cell, folder, setting, seed, row, hex_digests(own), assignment, k, names, of.hexdigest()
    )
