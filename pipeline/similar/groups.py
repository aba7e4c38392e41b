"""What a sample is balanced over: the clusters of a collection, or its classes."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import store
from pipeline.io.clusters import read_clusters, seed_of_lowest_loss
from pipeline.params import StageError


class Groups(NamedTuple):
    """number: int32 [image]; name: what a table says of each, its cluster's number (int32 [image])
    or the name of its class (object [image], "" where none is known)."""

    number: np.ndarray
    name: np.ndarray


def read_groups(
    path: Path, among: store.Features, balance: Literal["none", "clusters", "labels"]
) -> Groups:
    """The group of each image of the store `among`, 0 of all for none.

    Of clusters those of the first setting, seed of lowest loss; of labels the class, -1 where none
    is known. PATH is of the kind that `balance` names, and is not opened for none. StageError if it
    is of other images.
    """
    if balance == "none":
        none = np.zeros(len(among), np.int32)
        return Groups(none, none)
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
    if balance == "clusters":
        return Groups(group, group)
    names = np.array([*attrs["classes"], ""], object)  # -1, for no label, is the last
    return Groups(group, names[group])
