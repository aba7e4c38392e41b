"""Herbarium 2019: 36,904 scanned herbarium sheets, 683 species, a long tail (arXiv:1906.05372).

Read from <root>/herbarium_19/small-train/CLASS/*.jpg and small-validation/CLASS/*.jpg, the smaller
of the published sizes. They have to be fetched by hand, from Kaggle. The labels of the published
test set are unknown, so the split `test` is the validation set, as in GCD (arXiv:2201.02609).
"""

import os
from pathlib import Path

import numpy as np

from images import _old, _tree
from images._listing import ImagesError, Listing, Opener, Stater, coded

SITE = "https://www.kaggle.com/c/herbarium-2019-fgvc6"
N_CLASSES = 683

_SPLITS = {"train": "small-train", "test": "small-validation"}


def list_images(*, root: str = "data/raw") -> Listing:
    """34,225 `train` and 2,679 `test` images; classes by their folders' names, sorted as text."""
    base = _locate(root)
    _tree.check_apart(base, list(_SPLITS.values()))
    classes = _classes(base / _SPLITS["train"])
    if _classes(base / _SPLITS["test"]) != classes:
        raise ImagesError(
            f"{', '.join(_SPLITS.values())} in {_tree.full(base)} have not the same classes; "
            "unpack both whole"
        )
    listed: list[str] = []
    splits: list[str] = []
    labels: list[int] = []
    for split, folder in _SPLITS.items():
        for label, name in enumerate(classes):
            of_class = _tree.image_names(base, f"{folder}/{name}")
            listed += of_class
            splits += [split] * len(of_class)
            labels += [label] * len(of_class)
    return Listing(listed, *coded(splits), np.array(labels, np.int32), classes, len(classes))


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_locate(root))


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root))


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The 341 known classes of GCD."""
    return _old.groups("herbarium19")["old"]


def _classes(place: Path) -> list[str]:
    """The names of the folders, all of them: were one missing, the numbers after it would shift."""
    with os.scandir(place) as entries:
        found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if len(found) != N_CLASSES:
        raise ImagesError(
            f"{_tree.full(place)} has {len(found)} folders, {', '.join(found[:3]) or 'none'} …; "
            f"expected those of {N_CLASSES} classes; unpack it whole"
        )
    return found


def _locate(root: str) -> Path:
    base = Path(root) / "herbarium_19"
    missing = [folder for folder in _SPLITS.values() if not (base / folder).is_dir()]
    if missing:
        raise ImagesError(
            f"Herbarium 2019 is not in {_tree.full(base)}, which lacks {', '.join(missing)}; join "
            f"the competition at {SITE}, get small-train and small-validation, and unpack them to "
            f"{base}/small-train/CLASS/*.jpg and so on, or set root to the folder above them"
        )
    return base
