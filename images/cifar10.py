"""CIFAR-10: 60,000 colour photos of 32 x 32 pixels, 10 classes (Krizhevsky, 2009).

Read from <root>/cifar-10-batches-py, downloaded there if missing.
"""

from pathlib import Path

import numpy as np

from images import _cifar, _download, _packed
from images._listing import Listing, Opener, Stater

_FILES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def list_images(*, root: str = "data/raw") -> Listing:
    """50,000 `train` and 10,000 `test` images."""
    folder = _locate(root)
    labels = {
        split: np.concatenate([b["labels"] for b in _cifar.read(folder, files, "labels")])
        for split, files in _FILES.items()
    }
    return _packed.listing(labels, _cifar.classes(folder / "batches.meta", "label_names"))


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives uint8 arrays [32, 32, 3]; 184 MB are held in memory."""
    folder = _locate(root)
    return _packed.opener(
        {s: _cifar.images(_cifar.read(folder, files, "labels")) for s, files in _FILES.items()}
    )


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives None: these images are no files."""
    return _packed.stater()


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The first 5, as in GCD (arXiv:2201.02609)."""
    return list(range(5))


def _locate(root: str) -> Path:
    files = [*_FILES["train"], *_FILES["test"], "batches.meta"]
    return _download.folder("CIFAR10", Path(root), "cifar-10-batches-py", files, _cifar.SITE)
