"""Which images category discovery knows the class of: the kind `known`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pipeline.io.space import Space
from pipeline.params import StageError


class Known(NamedTuple):
    """label: int64 [image of train], 0 to len(old) - 1, or -1 where none is known; old: the names
    of the known classes."""

    label: np.ndarray
    old: list[str]


def read_known(path: Path, space: Space) -> Known:
    """Who is labelled among the images of train of a store.

    Raises StageError when a known class has no labelled image there, or no image is unlabelled.
    """
    with store.read(path, "known") as file:
        dataset, old, label = file.attrs["dataset"], file.attrs["old"], file["label"]
    row = space.found.row[space.train]
    if dataset != space.found.dataset or row.max(initial=-1) >= len(label):
        raise StageError(f"{path} is of other images than {space.found.path}: run `dvc repro`")
    own = label[row].astype(np.int64)
    size = np.bincount(own[own >= 0], minlength=len(old))
    if not size.all():
        lost = old[int(size.argmin())]
        raise StageError(
            f"{path}: no image of the known class '{lost}' is labelled in {space.found.path}: "
            "label one, or take the class out"
        )
    if (own >= 0).all():
        raise StageError(f"{path}: all {len(own)} images are labelled: nothing is left to discover")
    return Known(own, old)
