"""STL-10: 113,000 colour photos of 96 x 96 pixels, 10 classes, most unlabelled (Coates, 2011).

Read from <root>/stl10_binary, downloaded there if missing. The published splits: `train` 5,000,
`test` 8,000, `unlabeled` 100,000, label -1. `splits: [train, test]` leaves the unlabelled ones out;
`train: [train, unlabeled]` fits on both.
"""

from pathlib import Path

import numpy as np

from images import _download, _packed
from images._listing import ImagesError, Listing, Opener, Stater

SITE = "https://cs.stanford.edu/~acoates/stl10/"

_PIXELS = 3 * 96 * 96
_SPLITS = {"train": "train_y.bin", "test": "test_y.bin", "unlabeled": None}


def list_images(*, root: str = "data/raw") -> Listing:
    """5,000 `train`, 8,000 `test` and 100,000 `unlabeled` images."""
    folder = _locate(root)
    labels = {}
    for split, file in _SPLITS.items():
        n = _count(folder / f"{split}_X.bin")
        of = np.fromfile(folder / file, np.uint8) if file else np.zeros(n, np.uint8)
        if len(of) != n or (file and 0 in of):
            raise ImagesError(
                f"{folder / str(file)} holds {len(of)} labels for {n} images, {(of == 0).sum()} of "
                f"them 0, but labels count from 1; delete {folder} to have it downloaded again"
            )
        labels[split] = of.astype(np.int32) - 1
    classes = (folder / "class_names.txt").read_text(encoding="utf-8").split()
    return _packed.listing(labels, classes)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives uint8 arrays [96, 96, 3]; the files are mapped, not read, for they are 3.1 GB."""
    folder = _locate(root)
    mapped = {}
    for split in _SPLITS:
        file = folder / f"{split}_X.bin"
        stored = np.memmap(file, np.uint8, "r", shape=(_count(file), 3, 96, 96))
        # Stored by colour, then column by column.
        mapped[split] = stored.transpose(0, 3, 2, 1)
    return _packed.opener(mapped)


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives None: these images are no files."""
    return _packed.stater()


def _count(file: Path) -> int:
    size = file.stat().st_size
    if size == 0 or size % _PIXELS:
        raise ImagesError(
            f"{file} has {size} bytes, which is no number of images of {_PIXELS} bytes; "
            f"delete {file.parent} to have it downloaded again"
        )
    return size // _PIXELS


def _locate(root: str) -> Path:
    labels = [file for file in _SPLITS.values() if file]
    files = [*(f"{split}_X.bin" for split in _SPLITS), *labels, "class_names.txt"]
    return _download.folder("STL10", Path(root), "stl10_binary", files, SITE, split="train")
