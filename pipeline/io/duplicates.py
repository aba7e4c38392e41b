"""Read which image stands for each group of near-duplicates."""

from pathlib import Path

import numpy as np

import store
from pipeline.params import StageError


def read_leaders(path: Path, dataset: str, backbone: str, row: np.ndarray) -> np.ndarray:
    """Of each image the row of the index of the one that stands for it: int64 [image].

    `row`: int64 [image], the rows that are expected. StageError when they are others.
    """
    with store.read(path, "duplicates") as file:
        attrs, found, leader = file.attrs, file["row"], file["leader"]
    for what, wanted in (("dataset", dataset), ("backbone", backbone)):
        if attrs[what] != wanted:
            raise StageError(f"{path} is of {what} {attrs[what]}, expected {wanted}")
    if not np.array_equal(found, row):
        raise StageError(
            f"{path} is of {len(found)} images, not of the {len(row)} expected: run `dvc repro`"
        )
    return leader
