"""Handwritten digits, 1,797 of 8 x 8 grey pixels, 10 classes; they come with scikit-learn.

The test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998).
It has no split of its own. But: so that there is something to test on, the first 1,437 images
(80 %) are `train` here and the last 360 are `test`.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from images import _packed
from images._listing import ImagesError, Listing, Opener, Stater

_N_TRAIN = 1437


def list_images() -> Listing:
    """1,437 + 360 images."""
    _, labels = _load()
    return _packed.listing(
        {"train": labels[:_N_TRAIN], "test": labels[_N_TRAIN:]}, [str(i) for i in range(10)]
    )


def open_images() -> Opener:
    """Gives uint8 arrays [8, 8], white on black."""
    images, _ = _load()
    return _packed.opener({"train": images[:_N_TRAIN], "test": images[_N_TRAIN:]})


def stat_images() -> Stater:
    """Gives None: these are no files."""
    return _packed.stater()


def _load() -> tuple[np.ndarray, np.ndarray]:
    # The file itself: to import scikit-learn, for load_digits, takes a second in each stage
    found = find_spec("sklearn")
    if found is None or not found.origin:
        raise ImagesError("the digits come with scikit-learn: pip install scikit-learn")
    path = Path(found.origin).parent / "datasets/data/digits.csv.gz"
    values = np.loadtxt(path, np.uint8, delimiter=",")  # 64 pixels of 0 to 16, and the class
    images = values[:, :-1].reshape(-1, 8, 8)
    return np.rint(images * (255 / 16)).astype(np.uint8), values[:, -1].astype(np.int64)
