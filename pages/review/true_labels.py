"""The labels that a dataset came with, to colour the map by, where a person asks for that.

Nothing else of the page reads them: what it proposes and how sure it is comes from pictures and
decisions alone.
"""

import numpy as np

import store
from pages.review.collection import Collection
from pages.review.refused import Refused
from pipeline.io.cell import Cell


def has_labels(cell: Cell) -> bool:
    """Whether the dataset names classes; the labels of its images are not looked at."""
    if not cell.labels.exists():
        return False
    with store.read(cell.labels, "labels") as file:
        return bool(file.attrs["classes"])


def true_labels(of: Collection) -> tuple[list[str], np.ndarray]:
    """The classes, and int32 [image], -1 where none is known. Refused where there are none."""
    if not has_labels(of.cell):
        raise Refused(404, f"{of.cell.dataset} has no labels of its own")
    with store.read(of.cell.labels, "labels") as file:
        names, label = [str(name) for name in file.attrs["classes"]], file["label"]
    if of.clustering.row.max(initial=-1) >= len(label):
        raise Refused(409, f"{of.cell.labels} is not of the images in the index: run `dvc repro`")
    return names, label[of.clustering.row]
