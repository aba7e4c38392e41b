"""What a sample is balanced over: the clusters of a collection, or its classes."""

from pathlib import Path
from typing import Literal

import numpy as np

import store
from pipeline.io.clusters import read_clusters, seed_of_lowest_loss
from pipeline.params import StageError


def read_groups(
    path: Path, among: store.Features, balance: Literal["none", "clusters", "labels"]
) -> np.ndarray:
    """The group of each image of the store `among`: int32 [image], all 0 for none.

    Of clusters those of the first setting, seed of lowest loss; of labels the class, -1 where none
    is known. PATH is of the kind that `balance` names, and is not opened for none. StageError if it
    is of other images.
    """
    if balance == "none":
        return np.zeros(len(among), np.int32)
    read = read_clusters(path) if balance == "clusters" else store.read(path, balance)
    with read as file:
        attrs = file.attrs
        if balance == "labels":
            group = file["label"]
            known = among.row.max(initial=-1) < len(group)
            group = group[among.row] if known else group
        else:
            known = attrs["backbone"] == among.backbone and np.array_equal(file["row"], among.row)
            group = file["0/assignment"][seed_of_lowest_loss(file, 0)]
    if not known or attrs["dataset"] != among.dataset:
        raise StageError(f"{path} is not of the images in {among.path}: run `dvc repro`")
    return group
