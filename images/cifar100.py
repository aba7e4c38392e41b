"""CIFAR-100: 60,000 colour photos of 32 x 32 pixels, 100 classes (Krizhevsky, 2009).

Read from <root>/cifar-100-python, downloaded there if missing.
"""

from pathlib import Path

import numpy as np

from images import _cifar, _download, _packed
from images._listing import Listing, Opener, Stater

_SPLITS = ("train", "test")


def list_images(*, root: str = "data/raw") -> Listing:
    """50,000 `train` and 10,000 `test` images."""
    return labelled(root, "fine")


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives uint8 arrays [32, 32, 3]; 184 MB are held in memory."""
    folder = _locate(root)
    return _packed.opener(
        {s: _cifar.images(_cifar.read(folder, [s], "fine_labels")) for s in _SPLITS}
    )


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives None: these images are no files."""
    return _packed.stater()


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The first 80, as in GCD (arXiv:2201.02609)."""
    return list(range(80))


def labelled(root: str, level: str) -> Listing:
    """The images with their 100 `fine` or their 20 `coarse` labels."""
    folder, key = _locate(root), f"{level}_labels"
    labels = {s: np.array(_cifar.read(folder, [s], key)[0][key]) for s in _SPLITS}
    return _packed.listing(labels, _cifar.classes(folder / "meta", f"{level}_label_names"))


def _locate(root: str) -> Path:
    files = [*_SPLITS, "meta"]
    return _download.folder("CIFAR100", Path(root), "cifar-100-python", files, _cifar.SITE)
